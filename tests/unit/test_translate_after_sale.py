"""What an event says of an order after Checkout: tables of event and news."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fulfillment_api.spec import Sale, SaleKind
from fulfillment_service.event import decode_event
from fulfillment_service.refusals import Refusal, RefusedError
from fulfillment_service.translate import AfterSale, Filters, Ignored, Wanted, translate
from stripe_events import NOW, SESSION, charge_event, snapshot, thin

OBSERVED = datetime(2026, 11, 2, 12, 53, 21, 250_000, tzinfo=UTC)
SECOND = OBSERVED.replace(microsecond=0)
REFUNDED, DISPUTED, EXPIRED = "charge.refunded", "charge.dispute.created", "checkout.session.expired"


def decide(event: dict[str, Any], filters: Filters = Filters()) -> Wanted | Ignored:  # noqa: B008 - frozen
    return translate(decode_event(json.dumps(event)), filters, observed_at=OBSERVED)


def news(kind: SaleKind, event: str = "evt_2", **changes: Any) -> AfterSale:
    facts: dict[str, Any] = {
        "livemode": False,
        "account": None,
        "session": None,
        "payment_intent": SESSION["payment_intent"],
        "otherwise": Ignored.NO_ORDER,
    }
    return AfterSale(sale=Sale(kind=kind, event=event, observed_at=SECOND), **(facts | changes))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (charge_event(REFUNDED), news(SaleKind.REFUNDED)),
        (charge_event(DISPUTED), news(SaleKind.DISPUTED)),
        (charge_event(DISPUTED, payment_intent={"id": "pi_9"}), news(SaleKind.DISPUTED, payment_intent="pi_9")),
        (charge_event(REFUNDED, refunded=None), news(SaleKind.REFUNDED)),  # a hint: Stripe is asked
        (charge_event(REFUNDED) | {"account": "acct_1"}, news(SaleKind.REFUNDED, account="acct_1")),
        (charge_event(REFUNDED) | {"livemode": True}, news(SaleKind.REFUNDED, livemode=True)),
        (
            snapshot(EXPIRED, id="evt_2", session={"payment_intent": None}),
            news(SaleKind.EXPIRED, session=SESSION["id"], payment_intent=None, otherwise=Ignored.EXPIRED),
        ),
        (
            thin(f"v1.{EXPIRED}", id="evt_2"),
            news(SaleKind.EXPIRED, session=SESSION["id"], payment_intent=None, otherwise=Ignored.EXPIRED),
        ),
    ],
)
def test_news_of_an_order(event: dict[str, Any], expected: AfterSale) -> None:
    """A refund and a dispute name the payment, an expiry names the Session."""
    assert expected == decide(event)


@pytest.mark.parametrize(
    ("event", "filters", "expected"),
    [
        (charge_event(REFUNDED, refunded=False), Filters(), Ignored.PARTIAL_REFUND),
        (charge_event(REFUNDED, payment_intent=None), Filters(), Ignored.NO_PAYMENT_INTENT),
        (charge_event(DISPUTED, payment_intent="no id"), Filters(), Ignored.NO_PAYMENT_INTENT),
        (thin("v1.charge.refunded"), Filters(), Ignored.NO_PAYMENT_INTENT),
        (charge_event(REFUNDED), Filters(livemode=True), Ignored.LIVEMODE),
        (snapshot(EXPIRED), Filters(livemode=True), Ignored.LIVEMODE),
        (charge_event(REFUNDED) | {"account": "acct_2"}, Filters(accounts=("acct_1",)), Ignored.ACCOUNT),
        (
            charge_event(REFUNDED) | {"created": NOW - 46 * 24 * 60 * 60},
            Filters(retention=timedelta(days=45)),
            Ignored.OLDER_THAN_RETENTION,
        ),
        (charge_event("charge.succeeded"), Filters(), Ignored.EVENT_TYPE),
    ],
)
def test_what_is_no_news_is_ignored_with_a_reason(event: dict[str, Any], filters: Filters, expected: Ignored) -> None:
    """The reason is what the metrics and the answer say."""
    assert decide(event, filters) is expected


def test_payment_links_and_metadata_filter_no_news() -> None:
    """A charge shows neither; that there is an order says that it passed them."""
    filters = Filters(payment_links=("plink_1",), metadata={"app": "shop"})
    assert isinstance(decide(charge_event(REFUNDED), filters), AfterSale)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (snapshot(EXPIRED, session={"id": None}), Refusal.NO_SESSION_ID),
        (charge_event(REFUNDED) | {"account": "no id"}, Refusal.ODD_ACCOUNT),
    ],
)
def test_news_that_does_not_say_of_what_is_refused(event: dict[str, Any], expected: Refusal) -> None:
    """As an event about a sale is."""
    with pytest.raises(RefusedError) as caught:
        decide(event)
    assert caught.value.reason is expected
