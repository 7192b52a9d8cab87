"""Which backend an order goes to: tables."""

import pytest
from prometheus_client import CollectorRegistry

from builders import make_request, make_session
from fulfillment_api.spec import Session
from fulfillment_api.status import Fulfillment, LineItem, Reason
from fulfillment_operator.backends.interface import Done, Outcome, PaidOrder, TryAgain
from fulfillment_operator.decide import Refuse
from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.routes import OrderFacts, facts_of, parse_routing

METRICS = OperatorMetrics(CollectorRegistry())
ROUTES = """
- {name: donations, when: {paymentLink: plink_1}, backend: log}
- {name: gifts, when: {metadata: {channel: gift, wrap: "yes"}}, backend: manual}
- {when: {mode: subscription}, backend: erp}
- {when: {price: price_1, livemode: true}, backend: job}
"""


def facts(
    *,
    livemode: bool = True,
    mode: str = "payment",
    payment_link: str | None = None,
    metadata: dict[str, str] | None = None,
    prices: tuple[str, ...] = (),
) -> OrderFacts:
    return OrderFacts(livemode, mode, payment_link, metadata or {}, frozenset(prices))


@pytest.mark.parametrize(
    ("order", "backend", "why"),
    [
        (facts(payment_link="plink_1"), "log", "route 1 (donations) takes it"),
        (facts(payment_link="plink_1", mode="subscription"), "log", "route 1 (donations) takes it"),
        (facts(metadata={"channel": "gift", "wrap": "yes", "more": "x"}), "manual", "route 2 (gifts) takes it"),
        (facts(metadata={"channel": "gift"}), "http", "no route takes it, so FULFILLMENT_BACKEND does"),
        (facts(mode="subscription"), "erp", "route 3 takes it"),
        (facts(prices=("price_0", "price_1")), "job", "route 4 takes it"),
        (facts(prices=("price_1",), livemode=False), "http", "no route takes it, so FULFILLMENT_BACKEND does"),
    ],
)
def test_the_first_route_whose_conditions_all_hold_takes_the_order(order: OrderFacts, backend: str, why: str) -> None:
    """First match wins, and the default takes the rest."""
    choice = parse_routing(ROUTES, "http").choose(order)
    assert (backend, why) == (choice.backend, choice.why)


def test_each_miss_is_told_in_words() -> None:
    """So that a person sees which condition to mend."""
    choice = parse_routing(ROUTES, "none").choose(facts(metadata={"wrap": "no"}, prices=("price_1",), livemode=False))
    assert choice.backend is None
    assert choice.why == "no route takes it, and FULFILLMENT_BACKEND is none"
    assert [each.miss for each in choice.tried] == [
        "the payment link is none, not plink_1",
        "metadata channel is not set, not gift",
        "mode is payment, not subscription",
        "livemode is false",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "FULFILLMENT_BACKEND is none, and FULFILLMENT_ROUTES has no route: no order could go anywhere"),
        ("[]", "FULFILLMENT_BACKEND is none, and FULFILLMENT_ROUTES has no route: no order could go anywhere"),
        ("{", "FULFILLMENT_ROUTES is no YAML: while parsing"),
        ("backend: log", "FULFILLMENT_ROUTES: Expected `array`, got `object`"),
        ("- {}", "FULFILLMENT_ROUTES: Object missing required field `backend` - at `$[0]` (the first route is $[0])"),
        ("- {backend: log, wen: {}}", "Object contains unknown field `wen` - at `$[0]`"),
        ("- {backend: log, when: {metdata: {}}}", "Object contains unknown field `metdata` - at `$[0].when`"),
        ("- {backend: log, when: {mode: setup}}", "Invalid enum value 'setup' - at `$[0].when.mode`"),
        ("- {backend: log, when: {livemode: 'yes'}}", "Expected `bool | null`, got `str` - at `$[0].when.livemode`"),
        (
            "- {backend: log, when: {paymentLink: 'https://buy.stripe.com/1'}}",
            "matching regex '^plink_[A-Za-z0-9_]+$' - at `$[0].when.paymentLink`",
        ),
        ("- {backend: log, when: {metadata: {a: 1}}}", "Expected `str`, got `int` - at `$[0].when.metadata[...]`"),
        ("- {backend: L}", "matching regex '^[a-z][a-z0-9-]{0,62}$' - at `$[0].backend`"),
    ],
)
def test_what_are_no_routes(text: str | None, message: str) -> None:
    """Refused with the place that is wrong."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is compared below
        parse_routing(text, "none")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second", "idle"),
    [
        ("{}", "{}", True),
        ("{}", "{mode: payment}", True),
        ("{mode: payment}", "{}", False),
        ("{mode: payment}", "{mode: payment}", True),
        ("{mode: payment}", "{mode: subscription}", False),
        ("{mode: payment}", "{mode: payment, livemode: true}", True),
        ("{mode: payment, livemode: true}", "{mode: payment}", False),
        ("{livemode: false}", "{livemode: true}", False),
        ("{price: price_1}", "{price: price_2}", False),  # an order may have both, and the first takes it
        ("{price: price_1}", "{price: price_1, paymentLink: plink_1}", True),
        ("{metadata: {a: x}}", "{metadata: {a: x, b: y}}", True),
        ("{metadata: {a: x, b: y}}", "{metadata: {a: x}}", False),
        ("{metadata: {a: x}}", "{metadata: {a: y}}", False),
    ],
)
def test_a_route_that_no_order_comes_to_is_refused(first: str, second: str, *, idle: bool) -> None:
    """Whatever it would take, a route before it takes: that is a mistake, and where it is stands in the message."""
    text = f"- {{backend: manual, when: {{paymentLink: plink_0}}}}\n- {{backend: log, when: {first}}}\n"
    text += f"- {{name: gifts, backend: http, when: {second}}}"
    if not idle:
        assert len(parse_routing(text, "log").routes) == 3
        return
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is compared below
        parse_routing(text, "log")
    assert str(refused.value) == (
        "FULFILLMENT_ROUTES: route 3 (gifts) takes no order: route 2 takes each before it; put it first, or take it out"
    )


def test_stripe_knows_more_than_a_thin_event() -> None:
    """The request of a thin event has no metadata and no payment link; the Session that was retrieved has."""
    session = make_session(
        metadata={"channel": "gift"}, payment_link="plink_1", line_items=(LineItem(id="li_1", price="price_1"),)
    )
    found = facts_of(Session(id="cs_test_1", livemode=True), session)
    assert found == facts(payment_link="plink_1", metadata={"channel": "gift"}, prices=("price_1",))


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    async def fulfill(self, order: PaidOrder) -> Outcome:
        return Done(f"{self.name} {order.key}")


ORDER = PaidOrder("cs-1", "shop", make_request().spec.session, make_session())


def tried(backend: str, *, accepted: bool = False) -> Fulfillment:
    at = make_request().metadata.creation_timestamp
    return Fulfillment(backend=backend, attempts=1, started_at=at, accepted_at=at if accepted else None)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, Done("http cs-1")),
        (tried("log"), Done("log cs-1")),  # another backend would fulfill it a second time
        (tried("log", accepted=True), Done("log cs-1")),
        (tried("gone"), Done("http cs-1")),  # its backend was taken away, and had not taken the order
        (
            tried("gone", accepted=True),
            TryAgain(
                "the backend gone has the order, and is gone: bring it back into FULFILLMENT_BACKEND or "
                "FULFILLMENT_ROUTES, or ask for another try by another one"
            ),
        ),
    ],
)
async def test_an_order_stays_with_its_backend(before: Fulfillment | None, expected: Outcome) -> None:
    """Whatever the routes say since."""
    dispatch = Dispatch({"log": Named("log"), "http": Named("http")}, parse_routing(None, "http"), METRICS)
    backend = dispatch.backend_of(ORDER, before)
    assert not isinstance(backend, Refuse)
    assert await backend.fulfill(ORDER) == expected


def test_what_no_route_takes_is_refused() -> None:
    """With a reason of its own, and what to do."""
    routing = parse_routing("- {when: {mode: subscription}, backend: log}", "none")
    refused = Dispatch({"log": Named("log")}, routing, METRICS).backend_of(ORDER, None)
    assert refused == Refuse(
        Reason.NO_ROUTE,
        "no route takes it, and FULFILLMENT_BACKEND is none: add a route that does, and then ask for another try",
        ORDER.session,
    )
