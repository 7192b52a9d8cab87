"""How orders look on terminals of every width, and on none."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_cli.output import hanging, request_page, requests_table, undecodable_line
from fulfillment_cli.timeline import timeline
from support.builders import CREATED, make_request

NOW = CREATED + timedelta(hours=3)
NAME = "cs-62gpjcrwbey5qwag35mml6um5u"
HEAD = "NAME                            PHASE              REASON              AMOUNT"


def waiting() -> FulfillmentRequest:
    status = Status(
        phase=Phase.AWAITING_PAYMENT,
        reason=Reason.PAYMENT_PROCESSING,
        message="the bank has not said yet whether the money comes, which takes some days",
        observed_generation=1,
        conditions=[],
        fulfillment=Fulfillment(backend="http", attempts=2, started_at=CREATED),
    )
    return make_request(status=status, name=NAME)


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            None,
            [
                f"{HEAD}      ATTEMPTS   AGE   MANUAL",
                f"{NAME}   awaiting-payment   PaymentProcessing   10.99 USD   2          3h",
            ],
        ),
        (
            100,
            [
                f"{HEAD}      AGE   MANUAL",
                f"{NAME}   awaiting-payment   PaymentProcessing   10.99 USD   3h",
            ],
        ),
        (
            80,
            [
                "NAME                            PHASE              REASON              AGE",
                f"{NAME}   awaiting-payment   PaymentProcessing   3h",
            ],
        ),
        (60, ["NAME                            PHASE              AGE", f"{NAME}   awaiting-payment   3h"]),
        (40, [NAME, "  awaiting-payment, PaymentProcessing,", "  10.99 USD, 3h, attempts: 2"]),
    ],
)
def test_a_table_is_as_wide_as_the_terminal(width: int | None, lines: list[str]) -> None:
    """The least important columns go first; at forty characters an order has two lines; without a terminal all stay."""
    assert requests_table([waiting()], NOW, width=width).splitlines() == lines


def test_very_many_orders_are_shown_while_a_person_looks() -> None:
    """It takes ten times as long for ten times as many; if for each all were measured, this would be here for hours."""
    table = requests_table([waiting()] * 20_000, NOW, width=80)
    assert len(table.splitlines()) == 20_001


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "1 order does not decode: cs-0 "),
        (5, "5 orders do not decode: cs-0, cs-1, cs-2, cs-3, cs-4 "),
        (6, "6 orders do not decode: cs-0, cs-1, cs-2, cs-3, cs-4, … "),
    ],
)
def test_orders_that_do_not_decode_are_named(count: int, shown: str) -> None:
    """A few of them, and how to look at the first."""
    line = undecodable_line([make_request(name=f"cs-{number}").metadata for number in range(count)])
    assert line == f"{shown}(kubectl get fulfillmentrequests -n shop cs-0 -o yaml)"


def test_a_wide_table_is_never_cut() -> None:
    """Who asks for it wants all of it."""
    assert requests_table([waiting()], NOW, wide=True, width=40) == requests_table([waiting()], NOW, wide=True)


def test_orders_of_several_namespaces_say_which() -> None:
    """First, as kubectl has it; on a narrow terminal before the name."""
    table = requests_table([waiting()], NOW, namespaces=True).splitlines()
    assert [line.split()[0] for line in table] == ["NAMESPACE", "shop"]
    assert requests_table([waiting()], NOW, namespaces=True, width=40).splitlines()[0] == f"shop/{NAME}"


def test_what_changes_is_aligned_with_what_was_shown() -> None:
    """While a person watches."""
    before, later = waiting(), make_request(name="cs-4qovn7y2q6eplgev25sonmouly")
    whole = requests_table([before, later], NOW).splitlines()
    assert requests_table([later], NOW, head=False, beside=[before]) == whole[2]


def test_a_phase_is_coloured_after_the_columns_are_aligned() -> None:
    """So that what a terminal does not show takes no room."""
    plain = requests_table([waiting()], NOW)
    painted = requests_table([waiting()], NOW, paint=lambda phase: f"<{phase}>")
    assert painted.replace("<awaiting-payment>", "awaiting-payment") == plain
    assert "<PHASE>" not in painted
    assert "  <awaiting-payment>, Pay" in requests_table([waiting()], NOW, width=40, paint=lambda each: f"<{each}>")


def captured(order: Order) -> FulfillmentRequest:
    request = waiting()
    assert request.status is not None
    return replace(request, status=replace(request.status, order=order))


def test_what_was_captured_goes_before_what_the_event_told() -> None:
    """A part may be captured of what was authorized: kubectl shows the same."""
    taken = Order(line_items=[], amount=Amount(total=500, currency="usd", display="5.00 USD"))
    request = captured(taken)
    assert "5.00 USD" in requests_table([request], NOW)
    assert "10.99 USD" in requests_table([waiting()], NOW)


@pytest.mark.parametrize(("removed", "told"), [(1, "1 line item, removed since"), (2, "2 line items, removed since")])
def test_a_page_says_how_many_line_items_are_gone(removed: int, told: str) -> None:
    """They leave the cluster a week after the order's end."""
    assert told in request_page(captured(Order(line_items=[], removed_line_items=removed)), [], NOW)


def lines_of_pages() -> Iterator[tuple[int, str]]:
    for width in (40, 60, 80, 120):
        page = request_page(waiting(), timeline(waiting(), []), NOW, width=width)
        yield from ((width, line) for line in page.splitlines())


def test_a_page_is_as_wide_as_the_terminal() -> None:
    """No line is longer, and no word is lost but when something happened, where how long ago it was says enough."""
    assert [line for width, line in lines_of_pages() if len(line) > width] == []
    whole = request_page(waiting(), timeline(waiting(), []), NOW)
    wide, narrow = (request_page(waiting(), timeline(waiting(), []), NOW, width=width) for width in (100, 60))
    assert wide.split() == whole.split()
    assert narrow.split() == [each for each in whole.split() if each != "TIME" and not each.startswith("2026-")]


def test_a_detail_stands_beside_what_happened_rather_than_its_time() -> None:
    """At eighty characters, too, where a condition's long name leaves no room for both."""
    notified = Condition(
        type=ConditionType.CUSTOMER_NOTIFIED,
        status=ConditionStatus.TRUE,
        reason="MailSent",
        message="the customer was asked to place a new order",
        last_transition_time=CREATED,
    )
    status = Status(
        phase=Phase.FAILED,
        reason=Reason.PAYMENT_FAILED,
        message="the payment failed",
        observed_generation=1,
        conditions=[notified],
    )
    request = make_request(status=status, name=NAME)
    page = request_page(request, timeline(request, []), NOW, width=80)
    assert "\n3h    CustomerNotified=True   MailSent: the customer was asked to place a new" in page


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, "failure  mail  the server is away"),
        (40, "failure  mail  the server is away"),
        (30, "failure  mail\n  the server is away"),
    ],
)
def test_a_text_hangs_beside_its_head_or_below_it(width: int | None, shown: str) -> None:
    """Where beside it is no room for a sentence."""
    assert hanging("failure  mail  ", "the server is away", 15, width) == shown
