"""What is wrong with the webhook endpoints, row by row."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fulfillment_operator.endpoint_check import EndpointMetrics
from fulfillment_operator.endpoints import NEEDED, USEFUL, Endpoint, Finding, Problem, judge
from fulfillment_service.translate import EventType

OURS, OTHER = "2026-10-28.endive", "2024-06-20"
NONE = (
    "Stripe has no enabled webhook endpoint in test mode that is sent events of Checkout (destinations of thin events "
    "are not looked at): register one for checkout.session.async_payment_failed, "
    "checkout.session.async_payment_succeeded, checkout.session.completed"
)


def endpoint(name: str = "we_1", **facts: Any) -> Endpoint:
    return Endpoint(
        **{"id": name, "enabled": True, "livemode": False, "events": NEEDED | USEFUL, "api_version": OURS, **facts}
    )


def problems(*endpoints: Endpoint) -> list[Problem | None]:
    return [finding.problem for finding in judge(endpoints, livemode=False, api_version=OURS)]


@pytest.mark.parametrize(
    ("endpoints", "found"),
    [
        ([endpoint()], []),
        ([endpoint(events=frozenset({"*"}))], []),
        ([], [Problem.NOT_REGISTERED]),
        ([endpoint(enabled=False)], [Problem.NOT_REGISTERED]),
        ([endpoint(livemode=True)], [Problem.NOT_REGISTERED]),
        ([endpoint(events=frozenset({"payment_intent.succeeded"}))], [Problem.NOT_REGISTERED]),
        ([endpoint(events=USEFUL)], [Problem.NOT_REGISTERED]),
        ([endpoint(events=frozenset({"checkout.session.completed"}) | USEFUL)], [Problem.MISSING_EVENTS]),
        ([endpoint(api_version=OTHER)], [Problem.API_VERSION]),
        ([endpoint(api_version=None)], [Problem.API_VERSION]),
        ([endpoint(events=NEEDED)], [None]),
        (
            [endpoint(events=frozenset({"checkout.session.completed"}), api_version=OTHER)],
            [Problem.MISSING_EVENTS, Problem.API_VERSION, None],
        ),
        ([endpoint(api_version=OTHER), endpoint("we_2")], []),
        (
            [endpoint(events=frozenset({"checkout.session.completed"})), endpoint(api_version=OTHER)],
            [Problem.API_VERSION],
        ),
        (
            [endpoint(events=frozenset({"checkout.session.completed"})), endpoint(enabled=False)],
            [Problem.MISSING_EVENTS, None],
        ),
    ],
)
def test_the_best_endpoint_is_judged(endpoints: list[Endpoint], found: list[Problem | None]) -> None:
    """Other apps of the account have endpoints, too: only what no endpoint does is a problem."""
    assert problems(*endpoints) == found


def test_findings_say_what_to_do() -> None:
    """Each names what is missing, and where."""
    lacking = endpoint(events=NEEDED - {"checkout.session.async_payment_failed"}, api_version=None)
    assert judge([], livemode=False, api_version=OURS) == [Finding(Problem.NOT_REGISTERED, NONE)]
    assert judge([lacking], livemode=False, api_version=OURS) == [
        Finding(
            Problem.MISSING_EVENTS,
            "no webhook endpoint is sent checkout.session.async_payment_failed: add what is missing to we_1 in "
            "Stripe's Dashboard, or orders are found late or not at all",
        ),
        Finding(
            Problem.API_VERSION,
            "the events of the webhook endpoint we_1 have the account's default version, and this product is made for "
            "2026-10-28.endive: it reads any, but make an endpoint with that version to be sure",
        ),
        Finding(
            None,
            "the webhook endpoint we_1 is not sent charge.dispute.created, charge.refunded, checkout.session.expired: "
            "what comes after the sale is known only with them",
        ),
    ]


def test_what_is_needed_is_what_the_service_reads() -> None:
    """Neither workload imports the other: this holds them together."""
    assert NEEDED <= set(EventType) <= NEEDED | USEFUL


def test_the_gauge_tells_the_last_look() -> None:
    """0 of everything before the first; what is mended goes back to 0."""
    registry = CollectorRegistry()
    metrics = EndpointMetrics(registry)

    def told() -> list[float | None]:
        name = "fulfillment_webhook_endpoint_problem"
        return [registry.get_sample_value(name, {"problem": problem}) for problem in Problem]

    assert told() == [0, 0, 0]
    metrics.found([Finding(Problem.MISSING_EVENTS, "m"), Finding(None, "m")])
    assert told() == [0, 1, 0]
    metrics.found([])
    assert told() == [0, 0, 0]
