"""The design's event table, row by row, and what becomes of everything that does not fit."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_api.event_types import StripeEventType
from fulfillment_api.names import request_name
from fulfillment_api.spec import Amount, Mode, Payment, PaymentStatus, Session, Spec
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.event_fields import SessionFields
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.stored_fields import StoredFields
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, ReversalHint, SpecChange, translate
from support.repository import SHARED
from support.stripe_events import NOW, SESSION, snapshot, thin

OBSERVED = datetime(2026, 11, 2, 12, 53, 21, 250_000, tzinfo=UTC)
DAY = 24 * 60 * 60
LINKS = Filters(payment_links=("plink_1", "plink_3"))
APP = Filters(metadata={"app": "shop", "stage": "live"})
KEPT = Filters(retention=timedelta(days=45))
PAYLOADS = SHARED / "payloads"


def decide(
    event: dict[str, Any], filters: Filters | None = None, stored: StoredFields | None = None
) -> SpecChange | Ignored:
    parsed = parse_event(decode_envelope(json.dumps(event)))
    rules = EventRules(filters=filters or Filters(), stored=stored or StoredFields())
    return translate(parsed, rules, observed_at=OBSERVED)


def spec_of(event: dict[str, Any], stored: StoredFields | None = None) -> Spec:
    desired = decide(event, stored=stored)
    assert isinstance(desired, DesiredRequest)
    return desired.spec


def test_an_event_becomes_a_request() -> None:
    """What Stripe said of the order, in the contract's words, and nothing personal."""
    desired = decide(snapshot())
    assert desired == DesiredRequest(
        name=request_name(SESSION["id"]),
        spec=Spec(
            session=Session(
                id=SESSION["id"],
                livemode=False,
                mode=Mode.PAYMENT,
                created_at=datetime.fromtimestamp(NOW - 60, UTC),
                payment_intent="pi_1MhUT5E0b6fckueS",
                customer="cus_NSPHp4fOlXGw8P",
            ),
            amount=Amount(total=1099, currency="usd", display="10.99 USD"),
            payment=Payment(
                status=PaymentStatus.PAID,
                event="evt_1MhUT6E0b6fckueS",
                observed_at=datetime(2026, 11, 2, 12, 53, 21, tzinfo=UTC),
            ),
        ),
    )
    written = msgspec.json.encode(desired.spec).decode()
    personal = ("jenny", "Jenny", "+1555", "Townsend", "cart-17", "navy")
    assert not [word for word in personal if word in written]


@pytest.mark.parametrize(
    ("stored", "metadata", "reference"),
    [
        (StoredFields(), {}, None),
        (StoredFields(metadata_keys=frozenset({"cart", "absent"})), {"cart": "17"}, None),
        (StoredFields(client_reference_id=True), {}, "jenny@example.com"),
    ],
)
def test_what_a_shop_noted_is_stored_only_if_asked_for(
    stored: StoredFields, metadata: dict[str, str], reference: str | None
) -> None:
    """Shops put names and addresses into metadata and the client reference; the filters see all of it first."""
    sold = {"metadata": {"cart": "17", "email": "jenny@example.com"}, "client_reference_id": "jenny@example.com"}
    desired = decide(snapshot(session=sold), Filters(metadata={"email": "jenny@example.com"}), stored)
    assert isinstance(desired, DesiredRequest)
    session = desired.spec.session
    assert (session.metadata, session.client_reference_id) == (metadata, reference)


@pytest.mark.parametrize(
    ("kind", "shown", "status"),
    [
        ("completed", "paid", PaymentStatus.PAID),
        ("completed", "no_payment_required", PaymentStatus.NO_PAYMENT_REQUIRED),
        ("completed", "unpaid", PaymentStatus.UNPAID),
        ("completed", None, PaymentStatus.UNPAID),  # API versions of 2019 and 2020
        ("completed", "failed", PaymentStatus.UNPAID),  # no value of Stripe's
        ("completed", ["paid"], PaymentStatus.UNPAID),
        ("async_payment_succeeded", "paid", PaymentStatus.PAID),
        ("async_payment_succeeded", "unpaid", PaymentStatus.PAID),
        ("async_payment_succeeded", None, PaymentStatus.PAID),
        ("async_payment_failed", "unpaid", PaymentStatus.FAILED),
        ("async_payment_failed", "paid", PaymentStatus.FAILED),
    ],
)
def test_the_payment_status_of_each_event(kind: str, shown: Any, status: PaymentStatus) -> None:
    """A completed Session says it itself; the two later events by their types."""
    event = snapshot(f"checkout.session.{kind}", session={"payment_status": shown})
    assert spec_of(event).payment.status is status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("completed", PaymentStatus.UNPAID),  # it does not say, so Stripe is asked
        ("async_payment_succeeded", PaymentStatus.PAID),
        ("async_payment_failed", PaymentStatus.FAILED),
    ],
)
def test_a_thin_event_names_the_same_request(kind: str, status: PaymentStatus) -> None:
    """Less is known, but it is the same order."""
    desired = decide(thin(f"v1.checkout.session.{kind}", context="acct_1"))
    assert isinstance(desired, DesiredRequest)
    whole = decide(snapshot(f"checkout.session.{kind}", account="acct_1"))
    assert isinstance(whole, DesiredRequest)
    assert desired.name == whole.name
    assert desired.spec.session == Session(id=SESSION["id"], account="acct_1", livemode=False)
    assert (desired.spec.payment.status, desired.spec.amount) == (status, None)


@pytest.mark.parametrize(
    ("event", "filters", "reason"),
    [
        (snapshot(session={"mode": "setup", "amount_total": None}), Filters(), Ignored.SETUP_MODE),
        (snapshot("payment_intent.created"), Filters(), Ignored.EVENT_TYPE),
        (snapshot("v1.checkout.session.completed"), Filters(), Ignored.EVENT_TYPE),  # a thin type in a snapshot
        (snapshot("checkout.session.delighted"), Filters(), Ignored.EVENT_TYPE),
        (snapshot(type=None), Filters(), Ignored.EVENT_TYPE),
        (snapshot(type=["checkout.session.completed"]), Filters(), Ignored.EVENT_TYPE),
        (snapshot("ping", session="none"), Filters(), Ignored.EVENT_TYPE),
        (snapshot(livemode=False), Filters(livemode=True), Ignored.LIVEMODE),
        (snapshot(livemode=True), Filters(livemode=False), Ignored.LIVEMODE),
        (snapshot(account="acct_2"), Filters(accounts=("acct_1",)), Ignored.ACCOUNT),
        (thin(context="acct_2"), Filters(accounts=("acct_1",)), Ignored.ACCOUNT),
        (snapshot(session={"payment_link": "plink_2"}), LINKS, Ignored.PAYMENT_LINK),
        (snapshot(session={"payment_link": None}), LINKS, Ignored.PAYMENT_LINK),
        (snapshot(session={"payment_link": {"id": "plink_2"}}), LINKS, Ignored.PAYMENT_LINK),
        (snapshot(session={"metadata": {"app": "forum"}}), APP, Ignored.METADATA),
        (snapshot(session={"metadata": {"app": "shop"}}), APP, Ignored.METADATA),  # all of it must be there
        (snapshot(session={"metadata": None}), APP, Ignored.METADATA),
        (snapshot(created=NOW - 45 * DAY - 60), KEPT, Ignored.OLDER_THAN_RETENTION),
        (thin(created="2026-09-01T00:00:00.000Z"), KEPT, Ignored.OLDER_THAN_RETENTION),
        (thin(created="2026-09-01T00:00:00"), KEPT, Ignored.OLDER_THAN_RETENTION),
        (snapshot(livemode=True), Filters(livemode=False, payment_links=("plink_1",)), Ignored.LIVEMODE),
        (thin(context="acct_2"), Filters(accounts=("acct_1",), payment_links=("plink_1",)), Ignored.ACCOUNT),
    ],
)
def test_what_asks_for_nothing_is_ignored_with_a_reason(
    event: dict[str, Any], filters: Filters, reason: Ignored
) -> None:
    """Stripe is told that all is well, and the reason is counted."""
    assert decide(event, filters) is reason


@pytest.mark.parametrize(
    ("event", "filters"),
    [
        (snapshot(livemode=True), Filters(livemode=True)),
        (snapshot(livemode=False), Filters(livemode=False)),
        (snapshot(account="acct_1"), Filters(accounts=("acct_1", "acct_2"))),
        (snapshot(), Filters(accounts=("acct_1",))),
        (snapshot(account=""), Filters(accounts=("acct_1",))),
        (snapshot(account=None), Filters()),
        (snapshot(account="acct_9"), Filters()),
        (snapshot(session={"payment_link": "plink_3"}), LINKS),
        (snapshot(session={"payment_link": {"id": "plink_1"}}), LINKS),
        (snapshot(session={"metadata": {"app": "shop", "stage": "live", "cart": "17"}}), APP),
        (snapshot(created=NOW - 44 * DAY), KEPT),
        (snapshot(created=None), KEPT),  # Stripe always says; what does not is no replay of Stripe's
        (snapshot(created=10**30), KEPT),
        (thin(), KEPT),
        (thin(created="yesterday"), KEPT),
        (snapshot(created=0), Filters()),
    ],
)
def test_what_passes_the_filters(event: dict[str, Any], filters: Filters) -> None:
    """An event without an account is the platform's own, and always counts."""
    assert isinstance(decide(event, filters), DesiredRequest)


@pytest.mark.parametrize("filters", [LINKS, APP])
def test_a_thin_event_is_rejected_when_a_filter_asks_for_what_it_does_not_show(filters: Filters) -> None:
    """Ignored, an order would be lost; taken, it may be another app's; rejected, Stripe's Dashboard says why."""
    with pytest.raises(EventRejectedError, match="let the event destination send snapshot events") as caught:
        decide(thin(), filters)
    assert caught.value.reason is EventRejectReason.UNFILTERABLE
    assert isinstance(decide(thin("v1.checkout.session.expired"), filters), ExpiryHint)  # of an order that was taken


@pytest.mark.parametrize(
    ("envelope", "session", "livemode"),
    [
        ({"livemode": True}, {"livemode": False}, True),
        ({"livemode": None}, {"livemode": True}, True),
        ({"livemode": None}, {"livemode": None, "id": "cs_live_1"}, True),
        ({"livemode": None}, {"livemode": None, "id": "cs_test_1"}, False),
        ({"livemode": "yes"}, {"livemode": 1, "id": "cs_1"}, False),
    ],
)
def test_livemode_is_found_wherever_it_is(envelope: dict[str, Any], session: dict[str, Any], livemode: bool) -> None:
    """The envelope's, else the Session's, else what its id shows."""
    assert spec_of(snapshot(session=session, **envelope)).session.livemode is livemode


@pytest.mark.parametrize("session_id", [None, "", 7, "pi_1", "cs_", "cs_test_é", "cs_test_1\n", "cs_" + "1" * 253, {}])
@pytest.mark.parametrize("kind", ["completed", "async_payment_succeeded", "async_payment_failed"])
def test_an_event_that_does_not_name_its_session_is_rejected(kind: str, session_id: Any) -> None:
    """Nothing can be made of it: 400."""
    for event in (
        snapshot(f"checkout.session.{kind}", session={"id": session_id}),
        thin(f"v1.checkout.session.{kind}", related_object={"id": session_id}),
    ):
        with pytest.raises(EventRejectedError) as caught:
            decide(event)
        assert caught.value.reason is EventRejectReason.NO_SESSION_ID


@pytest.mark.parametrize("account", [7, "acct 1", "a" * 256, ["acct_1"]])
def test_an_account_that_is_no_id_is_rejected(account: Any) -> None:
    """Leaving it out would make the order another's."""
    with pytest.raises(EventRejectedError) as caught:
        decide(snapshot(account=account))
    assert caught.value.reason is EventRejectReason.INVALID_ACCOUNT


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ({"customer": {"id": "cus_1", "object": "customer", "email": "jenny@example.com"}}, {"customer": "cus_1"}),
        ({"payment_intent": {"id": "pi_2"}}, {"payment_intent": "pi_2"}),
        ({"subscription": {"id": "sub_1"}, "mode": "subscription"}, {"subscription": "sub_1", "mode": "subscription"}),
        ({"payment_link": {"id": "plink_1"}}, {"payment_link": "plink_1"}),
        ({"customer": {"deleted": True}}, {"customer": None}),
        ({"customer": "not an id"}, {"customer": None}),
        ({"customer": "cus_1\n"}, {"customer": None}),
        ({"customer": "c" * 256}, {"customer": None}),
        ({"customer": 7}, {"customer": None}),
        ({"mode": None}, {"mode": None}),
        ({"mode": "barter"}, {"mode": None}),
        ({"client_reference_id": "x" * 200}, {"client_reference_id": "x" * 200}),
        ({"client_reference_id": "x" * 201}, {"client_reference_id": None}),
        ({"client_reference_id": ""}, {"client_reference_id": None}),
        ({"created": 0}, {"created_at": datetime(1970, 1, 1, tzinfo=UTC)}),
        ({"created": None}, {"created_at": None}),
        ({"created": "2026-11-02T12:00:00Z"}, {"created_at": None}),
        ({"created": True}, {"created_at": None}),
        ({"created": 10**18}, {"created_at": None}),
        ({"metadata": None}, {"metadata": {}}),
        ({"metadata": []}, {"metadata": {}}),
        ({"metadata": {"a": "b", "c": None, "d": 7, "e": ["f"]}}, {"metadata": {"a": "b"}}),
        ({"metadata": {"k" * 41: "v", "k": "v" * 501, "ok": "v" * 500}}, {"metadata": {"ok": "v" * 500}}),
        ({"metadata": {str(n): "v" for n in range(51)}}, {"metadata": {str(n): "v" for n in range(50)}}),
    ],
)
def test_what_does_not_fit_the_contract_is_left_out(shown: dict[str, Any], kept: dict[str, Any]) -> None:
    """Rather than the event rejected: the operator asks Stripe anyway."""
    keys = frozenset({"a", "c", "d", "e", "k", "k" * 41, "ok", *map(str, range(51))})
    session = spec_of(snapshot(session=shown), StoredFields(metadata_keys=keys, client_reference_id=True)).session
    assert {name: getattr(session, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("total", "currency", "amount"),
    [
        (0, "usd", Amount(total=0, currency="usd", display="0.00 USD")),
        (500, "JPY", Amount(total=500, currency="jpy", display="500 JPY")),
        (2**63 - 1, "usd", Amount(total=2**63 - 1, currency="usd", display="92233720368547758.07 USD")),
        (2**63, "usd", None),
        (None, None, None),
        (None, "usd", None),
        (1099, None, None),
        (1099, "dollars", None),
        (1099, "usd\n", Amount(total=1099, currency="usd", display="10.99 USD")),
        (True, "usd", None),
        (10.99, "usd", None),
        ("1099", "usd", None),
    ],
)
def test_the_amount_is_whole_or_absent(total: Any, currency: Any, amount: Amount | None) -> None:
    """Amounts are null in old API versions; half of one would mislead."""
    assert spec_of(snapshot(session={"amount_total": total, "currency": currency})).amount == amount


@pytest.mark.parametrize("event_id", [None, "", 7, "evt 1", "e" * 256])
def test_an_odd_event_id_is_left_out(event_id: Any) -> None:
    """It is there for the reader: no decision hangs on it."""
    assert spec_of(snapshot(id=event_id)).payment.event is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from(StripeEventType),
    session=st.fixed_dictionaries({}, optional=dict.fromkeys(SessionFields.__struct_fields__, JSON)),
    envelope=st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "livemode", "account"), JSON)),
)
def test_nothing_that_stripe_could_send_breaks_it(
    kind: StripeEventType, session: dict[str, Any], envelope: dict[str, Any]
) -> None:
    """Whatever the parts are, the answer is a request within the contract, a reason to ignore it, or a rejection."""
    try:
        change = decide(snapshot(kind, session=session, **envelope))
    except EventRejectedError:
        return
    if isinstance(change, DesiredRequest):
        assert msgspec.json.decode(msgspec.json.encode(change.spec), type=Spec) == change.spec


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payloads of public projects are not here")
def test_real_payloads() -> None:
    """Of real events, those about a Session that sold something are requests; none is rejected."""
    for path in sorted((PAYLOADS / "events").glob("*.json")):
        event = json.loads(path.read_text())
        change = decide(event)
        if path.name.startswith(("charge.refunded", "charge.dispute.", "refund.", "radar.early_fraud_warning.created")):
            if change is Ignored.REFUND_UPDATED:
                assert event["data"]["object"]["status"] not in {"failed", "canceled"}
                continue
            payment_intent = event["data"]["object"].get("payment_intent")
            found = change.payment_intent if isinstance(change, ReversalHint) else None
            assert found == payment_intent, path.name
        elif not path.name.startswith("checkout.session."):
            assert change is Ignored.EVENT_TYPE, path.name
        elif event["data"]["object"].get("mode") == "setup":
            assert change is Ignored.SETUP_MODE, path.name
        else:
            assert isinstance(change, DesiredRequest), path.name
            assert change.spec.session.id == event["data"]["object"]["id"], path.name


def test_the_time_of_observation_is_in_whole_seconds() -> None:
    """As Kubernetes writes times."""
    assert spec_of(snapshot()).payment.observed_at == OBSERVED - timedelta(microseconds=250_000)
