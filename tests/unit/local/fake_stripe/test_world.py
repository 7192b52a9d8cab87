"""The stand-in's rules, without a server: what happens to Sessions, and how Stripe's API tells of it."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY, ApiKeys, Caller, StripeApi
from fulfillment_local.fake_stripe.catalogue import PRODUCTS
from fulfillment_local.fake_stripe.charges import charge_object
from fulfillment_local.fake_stripe.errors import ApiError
from fulfillment_local.fake_stripe.model import (
    DeliveryState,
    Mode,
    Order,
    Outcome,
    PaymentStatus,
    Settlement,
)
from fulfillment_local.fake_stripe.objects import (
    line_item_object,
    payment_intent_object,
    session_object,
    snapshot_event_object,
    thin_event_object,
)
from fulfillment_local.fake_stripe.query import Parameters, list_object
from fulfillment_local.fake_stripe.traffic import Drop, Fail, Fault, Faults, Hang, Request, Slow, Traffic
from fulfillment_local.fake_stripe.world import StripeWorld, TransitionError, new_world

NOON = 1_790_000_000.5  # 2026-09-21T14:13:20.500Z
TEST_CALLER = Caller(livemode=False)


class Clock:
    """Time stands still until it is told to pass."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> StripeWorld:
    return new_world(seed=7, clock=clock)


@pytest.mark.parametrize(
    ("outcome", "mode", "expected"),
    [
        ("open", "payment", ("open", "unpaid", None, None)),
        ("paid", "payment", ("complete", "paid", "succeeded", "checkout.session.completed")),
        ("unpaid", "payment", ("complete", "unpaid", "processing", "checkout.session.completed")),
        ("authorized", "payment", ("complete", "unpaid", "requires_capture", "checkout.session.completed")),
        ("bank-transfer", "payment", ("complete", "unpaid", "requires_action", "checkout.session.completed")),
        ("free", "payment", ("complete", "no_payment_required", None, "checkout.session.completed")),
        ("trial", "subscription", ("complete", "no_payment_required", None, "checkout.session.completed")),
        ("expired", "payment", ("expired", "unpaid", None, "checkout.session.expired")),
        ("paid", "subscription", ("complete", "paid", None, "checkout.session.completed")),
        ("free", "subscription", ("complete", "no_payment_required", None, "checkout.session.completed")),
        ("paid", "setup", ("complete", "no_payment_required", None, "checkout.session.completed")),
    ],
)
def test_outcome(
    world: StripeWorld, outcome: str, mode: str, expected: tuple[str, str, str | None, str | None]
) -> None:
    """Each thing that a buyer can do leaves the Session, its PaymentIntent and the event as Stripe would."""
    session, event = world.play(Order(outcome=Outcome(outcome), mode=Mode(mode)))
    shown = session_object(session)
    intent = world.payment_intents.get(session.payment_intent or "")
    assert expected == (
        shown["status"],
        shown["payment_status"],
        None if intent is None else intent.status,
        None if event is None else event.type,
    )
    assert (shown["url"] is not None) is (outcome == "open")


@pytest.mark.parametrize(
    ("settlement", "payment_status", "intent_status", "event_type"),
    [
        ("succeeded", "paid", "succeeded", "checkout.session.async_payment_succeeded"),
        ("failed", "unpaid", "requires_payment_method", "checkout.session.async_payment_failed"),
        ("canceled", "unpaid", "canceled", "payment_intent.canceled"),
        ("retried", "unpaid", "processing", "checkout.session.async_payment_failed"),
    ],
)
def test_settlement(
    world: StripeWorld, settlement: str, payment_status: str, intent_status: str, event_type: str | None
) -> None:
    """A delayed payment that fails leaves the Session complete and unpaid: only the PaymentIntent tells."""
    opened, _ = world.play(Order(outcome=Outcome.UNPAID))
    event = world.settle(opened.id, Settlement(settlement))
    session, intent = world.sessions[opened.id], world.payment_intents[opened.payment_intent or ""]
    assert ("complete", payment_status, intent_status) == (session.status, session.payment_status, intent.status)
    assert event_type == (None if event is None else event.type)
    error = payment_intent_object(intent)["last_payment_error"]
    assert ("insufficient_funds" if settlement == "failed" else None) == (error and error["decline_code"])


@pytest.mark.parametrize(
    ("settlement", "payment_status", "shown", "event_type"),
    [
        ("captured", "paid", ("succeeded", None, 5900, 0, 5900, True, False), "charge.captured"),
        ("partly-captured", "paid", ("succeeded", None, 2950, 0, 2950, True, False), "charge.captured"),
        ("canceled", "unpaid", ("canceled", "requested_by_customer", 0, 0, 0, False, True), "payment_intent.canceled"),
        ("lapsed", "unpaid", ("canceled", "automatic", 0, 0, 0, False, True), "charge.expired"),
    ],
)
def test_what_becomes_of_an_authorization(
    world: StripeWorld, settlement: str, payment_status: str, shown: tuple[Any, ...], event_type: str
) -> None:
    """It is captured, in part or whole, or let go: then its charge counts as refunded, and was never captured."""
    opened, _ = world.play(Order(outcome=Outcome.AUTHORIZED, amount=5900))
    intent = world.payment_intents[opened.payment_intent or ""]
    assert payment_intent_object(intent)["amount_capturable"] == 5900
    assert charge_object(intent)["payment_method_details"]["card"]["capture_before"] > intent.created
    event = world.settle(opened.id, Settlement(settlement))
    assert event is not None
    assert event.type == event_type
    assert world.sessions[opened.id].payment_status == payment_status
    intent = world.payment_intents[intent.id]
    rendered, charge = payment_intent_object(intent), charge_object(intent)
    assert shown == (
        *(rendered[key] for key in ("status", "cancellation_reason", "amount_received", "amount_capturable")),
        *(charge[key] for key in ("amount_captured", "captured", "refunded")),
    )
    about = snapshot_event_object(event)["data"]["object"]
    assert about["id" if about["object"] == "payment_intent" else "payment_intent"] == intent.id


def test_a_bank_transfer_comes_in_parts(world: StripeWorld) -> None:
    """The PaymentIntent tells what is yet to come, by an event of its own; Checkout sends none."""
    opened, _ = world.play(Order(outcome=Outcome.BANK_TRANSFER, amount=5900))
    part = world.settle(opened.id, Settlement.PARTLY_FUNDED)
    assert part is not None
    assert part.type == "payment_intent.partially_funded"
    intent = world.payment_intents[opened.payment_intent or ""]
    action = payment_intent_object(intent)["next_action"]
    assert action["display_bank_transfer_instructions"]["amount_remaining"] == 2950
    event = world.settle(opened.id, Settlement.SUCCEEDED)
    assert event is not None
    assert world.payment_intents[intent.id].received == 5900


@pytest.mark.parametrize(
    ("outcome", "settlement"), [("unpaid", "captured"), ("unpaid", "partly-funded"), ("bank-transfer", "lapsed")]
)
def test_what_cannot_become_of_a_payment(world: StripeWorld, outcome: str, settlement: str) -> None:
    """Only an authorization is captured or lapses, and only a bank transfer comes in parts."""
    opened, _ = world.play(Order(outcome=Outcome(outcome)))
    with pytest.raises(TransitionError, match=f"it cannot become {settlement}"):
        world.settle(opened.id, Settlement(settlement))


def test_a_trial_costs_nothing_now(world: StripeWorld) -> None:
    """The Session's total is what is due today; the price says what is billed later."""
    session, _ = world.play(Order(outcome=Outcome.TRIAL, mode=Mode.SUBSCRIPTION))
    (item,) = session.line_items
    shown = line_item_object(item, session.order)
    assert (session_object(session)["amount_total"], shown["amount_total"]) == (0, 0)
    assert shown["price"]["unit_amount"] > 0


def test_a_failed_payment_may_yet_succeed(world: StripeWorld) -> None:
    """A buyer whose debit failed can pay in another way, and the Session is paid in the end."""
    session, _ = world.play(Order(outcome=Outcome.UNPAID))
    world.settle(session.id, Settlement.FAILED)
    world.settle(session.id, Settlement.SUCCEEDED)
    assert world.sessions[session.id].payment_status == PaymentStatus.PAID


def test_a_subscription_can_be_paid_late(world: StripeWorld) -> None:
    """A subscription's delayed payment settles without a PaymentIntent of the Session's own."""
    session, _ = world.play(Order(outcome=Outcome.UNPAID, mode=Mode.SUBSCRIPTION))
    world.settle(session.id, Settlement.SUCCEEDED)
    assert (
        world.sessions[session.id].payment_status,
        world.sessions[session.id].payment_intent,
    ) == (PaymentStatus.PAID, None)


@pytest.mark.parametrize(
    ("outcome", "change", "message"),
    [
        ("paid", lambda world, id_: world.settle(id_, Settlement.FAILED), "complete and paid: no payment is waiting"),
        ("free", lambda world, id_: world.settle(id_, Settlement.SUCCEEDED), "no payment is waiting"),
        ("open", lambda world, id_: world.settle(id_, Settlement.SUCCEEDED), "open and unpaid"),
        ("expired", lambda world, id_: world.complete(id_, PaymentStatus.PAID), "only an open Session"),
        ("paid", lambda world, id_: world.expire(id_), "only an open Session"),
        (
            "open",
            lambda world, id_: world.complete(id_, PaymentStatus.NO_PAYMENT_REQUIRED),
            "only a free order is completed without a payment",
        ),
        ("open", lambda world, _: world.expire("cs_test_other"), "there is no Session cs_test_other"),
        ("open", lambda world, _: world.mark("evt_other", DeliveryState.FAILED), "there is no event evt_other"),
    ],
)
def test_what_cannot_happen(
    world: StripeWorld, outcome: str, change: Callable[[StripeWorld, str], object], message: str
) -> None:
    """What cannot happen to a Session is refused, and says why."""
    session, _ = world.play(Order(outcome=Outcome(outcome)))
    with pytest.raises(TransitionError, match=message):
        change(world, session.id)


def test_a_canceled_payment_is_over(world: StripeWorld) -> None:
    """Nothing is waiting any more once the seller canceled the PaymentIntent."""
    session, _ = world.play(Order(outcome=Outcome.UNPAID))
    world.settle(session.id, Settlement.CANCELED)
    with pytest.raises(TransitionError, match="is canceled"):
        world.settle(session.id, Settlement.SUCCEEDED)


def test_an_event_keeps_what_it_saw(world: StripeWorld) -> None:
    """The event of an unpaid Session still says so after the payment came, as a late delivery does."""
    session, event = world.play(Order(outcome=Outcome.UNPAID))
    world.settle(session.id, Settlement.SUCCEEDED)
    assert event is not None
    assert snapshot_event_object(world.events[event.id])["data"]["object"]["payment_status"] == "unpaid"
    assert session_object(world.sessions[session.id])["payment_status"] == "paid"


def test_thin_event(world: StripeWorld) -> None:
    """A thin event names the Session, holds nothing of it, and has an id of its own."""
    session, event = world.play(Order(account="acct_1"))
    assert event is not None
    assert {
        "id": event.thin_id,
        "object": "v2.core.event",
        "type": "v1.checkout.session.completed",
        "livemode": False,
        "created": "2026-09-21T14:13:20.500Z",
        "context": "acct_1",
        "reason": None,
        "related_object": {
            "id": session.id,
            "type": "checkout.session",
            "url": f"/v1/checkout/sessions/{session.id}",
        },
    } == thin_event_object(event)
    assert event.id != event.thin_id


@pytest.mark.parametrize(("livemode", "prefix"), [(False, "cs_test_"), (True, "cs_live_")])
def test_session_ids(world: StripeWorld, livemode: bool, prefix: str) -> None:
    """Session ids are as long as Stripe's, and in mixed case: too much for an object's name or a label."""
    session = world.open(Order(livemode=livemode))
    assert session.id.startswith(prefix)
    assert len(session.id) == 66
    assert session.id != session.id.lower()


def test_same_seed_same_world() -> None:
    """With the same seed the same orders get the same ids and products."""

    def play() -> list[dict[str, Any]]:
        world = new_world(seed=3, clock=Clock())
        return [session_object(world.play(Order(line_items=3))[0]) for _ in range(3)]

    assert play() == play()


@given(
    amount=st.none() | st.integers(min_value=1, max_value=99_999_999),
    line_items=st.integers(min_value=1, max_value=300),
    outcome=st.sampled_from([Outcome.PAID, Outcome.FREE]),
)
def test_sums(amount: int | None, line_items: int, outcome: Outcome) -> None:
    """Line items add up to the Session's totals, which are the amount asked for, or nothing when free."""
    world = new_world(seed=1, clock=Clock())
    order = Order(amount=amount, line_items=line_items, outcome=outcome)
    session, _ = world.play(order)
    items = [line_item_object(item, order) for item in session.line_items]
    shown = session_object(session)
    assert line_items == len(items)
    assert shown["amount_total"] == sum(item["amount_total"] for item in items)
    assert shown["amount_subtotal"] == sum(item["amount_subtotal"] for item in items)
    assert shown["total_details"]["amount_discount"] == sum(item["amount_discount"] for item in items)
    assert amount in (None, shown["amount_subtotal"])
    assert (shown["amount_total"] == 0) is (outcome is Outcome.FREE)


def test_a_product_keeps_its_ids(world: StripeWorld) -> None:
    """The same product has the same product and price ids in each order, and no two products share one."""
    order = Order()
    items = [world.open(order).line_items[0] for _ in range(2)]
    same = replace(items[1], product=items[0].product)
    assert line_item_object(items[0], order)["price"] == line_item_object(same, order)["price"]
    prices = {line_item_object(replace(same, product=each), order)["price"]["id"] for each in PRODUCTS}
    assert len(PRODUCTS) == len(prices)


@pytest.mark.parametrize(("line_items", "different"), [(137, 137), (1000, len(PRODUCTS))])
def test_a_large_order_has_different_products(world: StripeWorld, line_items: int, different: int) -> None:
    """An order takes each product once while the shop has more."""
    items = world.open(Order(line_items=line_items)).line_items
    assert (line_items, different) == (len(items), len({item.product for item in items}))


@pytest.mark.parametrize(
    ("email", "shown"),
    [(None, "@example.com"), ("ada@example.org", "ada@example.org"), ("", None)],
)
def test_buyers_email(world: StripeWorld, email: str | None, shown: str | None) -> None:
    """A buyer has an address of their own, the one asked for, or left none."""
    session, _ = world.play(Order(email=email))
    given_email = session_object(session)["customer_details"]["email"]
    assert (given_email is None) if shown is None else given_email.endswith(shown)


@given(total=st.integers(min_value=0, max_value=250), limit=st.integers(min_value=1, max_value=100))
def test_pages(total: int, limit: int) -> None:
    """Whoever follows the pages, forwards or backwards, sees each item once and in order."""
    items = [f"li_{place}" for place in range(total)]

    def page(**query: str) -> dict[str, Any]:
        parameters = Parameters([("limit", str(limit)), *query.items()])
        return list_object("/v1/x", items, parameters.page(), kind="item", id_of=str, render=lambda item: {"id": item})

    forwards: list[str] = []
    seen = page()
    while True:
        forwards += [item["id"] for item in seen["data"]]
        if not seen["has_more"]:
            break
        seen = page(starting_after=forwards[-1])
    assert items == forwards

    backwards = items[-1:]
    while backwards:
        seen = page(ending_before=backwards[0])
        backwards = [item["id"] for item in seen["data"]] + backwards
        if not seen["has_more"]:
            break
    assert items == backwards


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ([("limit", "0")], "limit", "greater than or equal to 1"),
        ([("limit", "101")], "limit", "less than or equal to 100"),
        ([("limit", "many")], "limit", "Invalid integer: many"),
        ([("starting_after", "li_other")], "starting_after", "No such line_item: 'li_other'"),
        ([("ending_before", "li_other")], "ending_before", "No such line_item: 'li_other'"),
        ([("ending_before", "a"), ("starting_after", "b")], "ending_before", "pass in only one"),
        ([("page", "2")], "page", "Received unknown parameter: page"),
        ([("limit[]", "2")], "limit", "single value"),
    ],
)
def test_a_list_refuses(world: StripeWorld, query: list[tuple[str, str]], param: str, message: str) -> None:
    """A wrong limit, cursor or parameter is answered with 400, naming it."""
    session, _ = world.play(Order())
    with pytest.raises(ApiError, match=message) as caught:
        StripeApi(world).list_line_items(TEST_CALLER, session.id, Parameters(query))
    assert caught.value.status == 400
    assert param == caught.value.body["error"]["param"]


@pytest.mark.parametrize("form", ["expand[]", "expand[0]"])
def test_expansion(world: StripeWorld, form: str) -> None:
    """Both ways to write a list expand the line items, of which ten come along."""
    session, _ = world.play(Order(line_items=11))
    shown = StripeApi(world).retrieve_session(TEST_CALLER, session.id, Parameters([(form, "line_items")]))
    assert (len(shown["line_items"]["data"]), shown["line_items"]["has_more"]) == (10, True)
    assert session.payment_intent == shown["payment_intent"]


def test_what_cannot_be_expanded(world: StripeWorld) -> None:
    """An unknown expansion is refused, as a misspelt one is by Stripe."""
    session, _ = world.play(Order())
    with pytest.raises(ApiError, match=r"This property cannot be expanded \(lineitems\)\."):
        StripeApi(world).retrieve_session(TEST_CALLER, session.id, Parameters([("expand[]", "lineitems")]))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], ["failed", "unpaid", "paid", "expired"]),
        ([("type", "checkout.session.expired")], ["expired"]),
        ([("type", "checkout.session.async_*")], ["failed"]),
        (
            [("types[]", "checkout.session.expired"), ("types[]", "checkout.session.async_payment_failed")],
            ["failed", "expired"],
        ),
        ([("delivery_success", "true")], ["paid"]),
        ([("delivery_success", "false")], ["failed", "unpaid", "expired"]),
        ([("created[gte]", str(int(NOON) + 20))], ["failed", "unpaid"]),
        ([("created[gt]", str(int(NOON) + 20))], ["failed"]),
        ([("created[lte]", str(int(NOON) + 10))], ["paid", "expired"]),
        ([("created[lt]", str(int(NOON) + 10))], ["expired"]),
        ([("created", str(int(NOON) + 10))], ["paid"]),
        ([("created[gt]", str(int(NOON))), ("created[lt]", str(int(NOON) + 20))], ["paid"]),
        ([("limit", "2")], ["failed", "unpaid"]),
    ],
)
def test_events_list(world: StripeWorld, clock: Clock, query: list[tuple[str, str]], expected: list[str]) -> None:
    """The events list is newest first, and each of its filters holds."""
    names: dict[str, str] = {}

    def note(name: str, event_id: str) -> None:
        names[event_id] = name
        clock.now += 10

    last = ""
    for outcome in (Outcome.EXPIRED, Outcome.PAID, Outcome.UNPAID):
        session, event = world.play(Order(outcome=outcome))
        assert event is not None
        note(outcome.value, event.id)
        last = session.id
    failed = world.settle(last, Settlement.FAILED)
    assert failed is not None
    note("failed", failed.id)
    for event_id, name in names.items():
        world.mark(event_id, DeliveryState.SUCCEEDED if name == "paid" else DeliveryState.FAILED)
    world.play(Order(livemode=True))
    world.play(Order(account="acct_1"))

    shown = StripeApi(world).list_events(TEST_CALLER, Parameters(query))
    assert expected == [names[event["id"]] for event in shown["data"]]


def test_events_pages_stay_whole(world: StripeWorld) -> None:
    """Who delivers undelivered events page by page misses none, though the list shrinks meanwhile."""
    for _ in range(5):
        world.play(Order())
    seen: list[str] = []
    query = [("delivery_success", "false"), ("limit", "2")]
    page = StripeApi(world).list_events(TEST_CALLER, Parameters(query))
    while page["data"]:
        for event in page["data"]:
            seen.append(event["id"])
            world.mark(event["id"], DeliveryState.SUCCEEDED)
        page = StripeApi(world).list_events(TEST_CALLER, Parameters([*query, ("starting_after", seen[-1])]))
    assert [*world.events][::-1] == seen


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([("type", "a"), ("types[]", "b")], "only specify one"),
        ([("types[]", "a")] * 21, "at most 20"),
        ([("types", "a")], "Invalid array"),
        ([("delivery_success", "no")], "Invalid boolean: no"),
        ([("created[gte]", "today")], "Invalid integer: today"),
        ([("created[since]", "1")], r"Received unknown parameter: created\[since\]"),
    ],
)
def test_events_list_refuses(world: StripeWorld, query: list[tuple[str, str]], message: str) -> None:
    """A filter that Stripe does not know is answered with 400."""
    with pytest.raises(ApiError, match=message) as caught:
        StripeApi(world).list_events(TEST_CALLER, Parameters(query))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("caller", "hint"),
    [
        (Caller(livemode=True), "; a similar object exists in test mode, but a live mode key was used"),
        (Caller(livemode=False, account="acct_1"), None),
    ],
)
def test_who_sees_what(world: StripeWorld, caller: Caller, hint: str | None) -> None:
    """An object of another mode or account is not found; for another mode, Stripe says so."""
    session, event = world.play(Order())
    assert event is not None
    api = StripeApi(world)
    for retrieve, object_id in (
        (api.retrieve_session, session.id),
        (api.list_line_items, session.id),
        (api.retrieve_payment_intent, session.payment_intent or ""),
        (api.retrieve_event, event.id),
    ):
        with pytest.raises(ApiError) as caught:
            retrieve(caller, object_id, Parameters([]))
        assert (caught.value.status, caught.value.body["error"]["code"]) == (404, "resource_missing")
        assert (hint is not None) is ("similar object" in str(caught.value))
        assert (hint or "") in str(caught.value)


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "livemode"),
    [
        (f"Bearer {TEST_KEY}", False),
        (f"bearer {LIVE_KEY}", True),
        (_basic(f"{TEST_KEY}:"), False),
    ],
)
def test_keys(authorization: str, livemode: bool) -> None:
    """A key is taken as Bearer or Basic, and tells its mode."""
    assert livemode is ApiKeys().livemode_of(authorization)


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        (None, 401, "You did not provide an API key"),
        ("Bearer ", 401, "You did not provide an API key"),
        ("Basic !", 401, "You did not provide an API key"),
        ("Digest x", 401, "You did not provide an API key"),
        ("Bearer sk_test_of_another_shop", 401, r"Invalid API Key provided: sk_test_\*{11}shop"),
        (_basic("sk_test_of_another_shop:"), 401, "Invalid API Key provided"),
        (f"Bearer {POWERLESS_KEY}", 403, "does not have the required permissions"),
    ],
)
def test_keys_refused(authorization: str | None, status: int, message: str) -> None:
    """No key, an unknown one and one without the right are refused in Stripe's words, the key masked."""
    with pytest.raises(ApiError, match=message) as caught:
        ApiKeys().livemode_of(authorization)
    assert status == caught.value.status
    assert caught.value.body["error"]["type"] == "invalid_request_error"


def test_faults() -> None:
    """A request meets the first fault that fits its path, so often as the fault is meant to last."""
    faults = Faults()
    faults.set([Fail(status=429, times=2, path="/line_items"), Drop(times=1), Hang(seconds=1, path="/events")])
    paths = ["/v1/x/line_items", "/v1/x", "/v1/x", "/v1/x/line_items", "/v1/x/line_items", "/v1/events", "/v1/events"]
    met: list[type[Fault] | None] = []
    for path in paths:
        fault = faults.meet(path)
        met.append(None if fault is None else type(fault))
    assert [Fail, Drop, None, Fail, None, Hang, Hang] == met
    faults.set([Fail(status=403, account="acct_1")])
    assert [False, False, True] == [faults.meet("/v1/x", account) is not None for account in (None, "acct_2", "acct_1")]
    faults.set([Slow(seconds=1)])
    faults.set([])
    assert faults.meet("/v1/events") is None


def test_traffic() -> None:
    """Requests are kept in order, and the greatest number at once is known."""
    traffic = Traffic()

    def request(path: str) -> Request:
        return Request(method="GET", path=path, query="", received=NOON)

    with traffic.recording(request("/a")):
        with traffic.recording(request("/b")):
            pass
        with traffic.recording(request("/a")):
            pass
    assert (
        [each.path for each in traffic.requests],
        traffic.greatest_in_flight,
        traffic.in_flight,
    ) == (["/a", "/b", "/a"], 2, 0)
    assert len(traffic.at("/a")) == 2
    traffic.clear()
    assert (traffic.requests, traffic.greatest_in_flight) == ([], 0)


def test_sessions_are_listed_newest_first(world: StripeWorld, clock: Clock) -> None:
    """Within a span of creation, in one state, page after page, and each as it is shown by itself."""
    sold = []
    for outcome in (Outcome.PAID, Outcome.EXPIRED, Outcome.PAID, Outcome.PAID, Outcome.PAID):
        sold.append(world.play(Order(outcome=outcome))[0].id)
        clock.now += 1
    world.play(Order(account="acct_1"))
    api, created = StripeApi(world), int(NOON)

    def listed(*query: tuple[str, str]) -> dict[str, Any]:
        return api.list_sessions(TEST_CALLER, Parameters(query))

    assert [each["id"] for each in listed()["data"]] == sold[::-1]
    span = [("created[gte]", str(created)), ("created[lte]", str(created + 3)), ("status", "complete"), ("limit", "2")]
    page = listed(*span)
    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([sold[3], sold[2]], True)
    page = listed(*span, ("starting_after", sold[2]))
    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([sold[0]], False)
    expanded = listed(("expand[]", "data.line_items"), ("expand[]", "data.payment_intent.latest_charge"))["data"][0]
    alone = api.retrieve_session(
        TEST_CALLER, sold[-1], Parameters([("expand[]", "line_items"), ("expand[]", "payment_intent.latest_charge")])
    )
    assert expanded == alone
    for wrong in (("status", "paid"), ("expand[]", "line_items"), ("payment_status", "paid")):
        with pytest.raises(ApiError):
            listed(wrong)
