"""Which backend an order goes to: tables."""

import pytest

from fulfillment_api.spec import Session
from fulfillment_api.status import LineItem
from fulfillment_operator.backends.routes import OrderFacts, facts_of, parse_routing
from support.builders import make_session

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
        (facts(metadata={"channel": "gift"}), "http", "no route takes it, so FULFILLMENT_BACKEND (backend.name) does"),
        (facts(mode="subscription"), "erp", "route 3 takes it"),
        (facts(prices=("price_0", "price_1")), "job", "route 4 takes it"),
        (
            facts(prices=("price_1",), livemode=False),
            "http",
            "no route takes it, so FULFILLMENT_BACKEND (backend.name) does",
        ),
    ],
)
def test_the_first_route_whose_conditions_all_hold_takes_the_order(order: OrderFacts, backend: str, why: str) -> None:
    """First match wins, and the default takes the rest."""
    choice = parse_routing(ROUTES, "http").choose(order)
    assert (backend, why) == (choice.backend, choice.reason)


def test_each_miss_is_told_in_words() -> None:
    """So that a person sees which condition to mend."""
    choice = parse_routing(ROUTES, "none").choose(facts(metadata={"wrap": "no"}, prices=("price_1",), livemode=False))
    assert choice.backend is None
    assert choice.reason == "no route takes it, and FULFILLMENT_BACKEND (backend.name) is none"
    assert [each.mismatch for each in choice.checks] == [
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
    with pytest.raises(ValueError) as rejected:  # noqa: PT011 - the message is compared below
        parse_routing(text, "none")
    assert message in str(rejected.value)


@pytest.mark.parametrize(
    ("first", "second", "unreachable"),
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
def test_a_route_that_no_order_comes_to_is_rejected(first: str, second: str, *, unreachable: bool) -> None:
    """Whatever it would take, a route before it takes: that is a mistake, and where it is stands in the message."""
    text = f"- {{backend: manual, when: {{paymentLink: plink_0}}}}\n- {{backend: log, when: {first}}}\n"
    text += f"- {{name: gifts, backend: http, when: {second}}}"
    if not unreachable:
        assert len(parse_routing(text, "log").routes) == 3
        return
    with pytest.raises(ValueError) as rejected:  # noqa: PT011 - the message is compared below
        parse_routing(text, "log")
    assert str(rejected.value) == (
        "FULFILLMENT_ROUTES: route 3 (gifts) takes no order: route 2 takes each before it; put it first, or take it out"
    )


def test_stripe_knows_more_than_a_thin_event() -> None:
    """The request of a thin event has no metadata and no payment link; the Session that was retrieved has."""
    session = make_session(
        metadata={"channel": "gift"}, payment_link="plink_1", line_items=(LineItem(id="li_1", price="price_1"),)
    )
    found = facts_of(Session(id="cs_test_1", livemode=True), session)
    assert found == facts(payment_link="plink_1", metadata={"channel": "gift"}, prices=("price_1",))
