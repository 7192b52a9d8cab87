"""A page of Stripe's list of Checkout Sessions: how it is asked for, and how its answer is read. Pure."""

from collections.abc import Sequence

from fulfillment_operator.checkout.answer_fields import list_of, object_of
from fulfillment_operator.checkout.session_list import PAGE, Page, Span

SESSIONS = "/v1/checkout/sessions"


def page_params(span: Span, expand: Sequence[str]) -> dict[str, object]:
    """Return the query for a page: of completed Sessions, for an event said so of all that is due.

    Args:
        span: which part of the list.
        expand: what of each Session is shown whole.
    """
    return {
        "status": "complete",
        "created": {"gte": span.first, "lte": span.last},
        "limit": PAGE,
        "expand": [f"data.{each}" for each in expand],
        **({"starting_after": span.after} if span.after else {}),
    }


def read_page(answer: object) -> tuple[Page, dict[str, object]]:
    """Read a page: where in the list it is, and the Sessions that it shows, by their ids.

    Args:
        answer: the JSON of the answer, whatever it is.
    """
    listed = object_of(answer)
    found = {
        each["id"]: each
        for each in map(object_of, list_of(listed.get("data")))
        if isinstance(each.get("id"), str) and isinstance(each.get("created"), int)
    }
    places = tuple((session, each["created"]) for session, each in found.items())
    return Page(places, has_more=listed.get("has_more") is True), dict(found)
