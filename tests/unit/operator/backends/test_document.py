"""The order document: what it holds, that its published schema is its own, and that no event changes it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fulfillment_api.spec import Spec
from fulfillment_local.fake_stripe.model import Event, Mode, Order, Outcome
from fulfillment_local.fake_stripe.objects import session_object, snapshot_event_object, thin_event_object
from fulfillment_local.fake_stripe.page import CheckoutPage, CustomField, FieldType, Presentment
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.document_schema import document_schema
from fulfillment_operator.backends.order import PaidOrder
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.checkout.session_answer import parse_session
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import DesiredRequest, translate
from support.builders import CREATED
from support.order_documents import SCHEMA_FILE, mistakes_in
from support.schema_strategies import instances

EVERYTHING = Order(
    client_reference_id="cart-17",
    metadata={"cart": "17"},
    payment_link="plink_1",
    amount=2000,
    page=CheckoutPage(
        locale="de",
        presentment=Presentment(amount=1634, currency="jpy"),
        custom_fields=(
            CustomField(key="engraving", value="For Ada"),
            CustomField(key="wrap", value="silk", type=FieldType.DROPDOWN, optional=True),
            CustomField(key="size", value=None, type=FieldType.NUMERIC, optional=True),
        ),
        shipping=900,
        discount=200,
        tax=300,
        tax_id="DE123456789",
        business_name="Example GmbH",
        individual_name="Ada Example",
        promotions=True,
        terms_accepted=True,
        invoice=True,
        recovered_from="cs_test_expired",
    ),
)
TEXTS = st.sampled_from(("", "a", "Größe", "jenny@example.com"))
ORDERS = instances(
    Order,
    outcome=st.sampled_from((Outcome.PAID, Outcome.UNPAID)),
    mode=st.sampled_from((Mode.PAYMENT, Mode.SUBSCRIPTION)),
    line_items=st.integers(1, 3),
    amount=st.integers(200, 5000),
    account=st.sampled_from((None, "acct_1")),
    payment_link=st.sampled_from((None, "plink_1")),
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    client_reference_id=st.none() | TEXTS,
    shipping=st.none() | st.integers(0, 5000),
    discount=st.integers(0, 20),
    tax=st.integers(0, 5000),
    livemode=st.booleans(),
    key=st.just("engraving"),
    value=st.none() | TEXTS,
)


def sold(order: Order) -> tuple[Event, CheckoutSession]:
    """Play an order; return its event, and the Session as the operator has it then."""
    world = new_world(seed=11)
    session, event = world.play(order)
    assert event is not None
    answer = parse_session(session_object(session), session.id)
    return event, answer.complete(payment=answer.payment)


def spec_after(event: dict[str, Any]) -> Spec:
    parsed = parse_event(decode_envelope(json.dumps(event)))
    desired = translate(parsed, EventRules(), observed_at=CREATED)
    assert isinstance(desired, DesiredRequest)
    return desired.spec


def document(spec: Spec, session: CheckoutSession) -> dict[str, Any]:
    """Return the document as a backend reads it."""
    written = msgspec.json.encode(order_document(PaidOrder("cs-1", "shop", spec.session, session)))
    found: dict[str, Any] = msgspec.json.decode(written)
    return found


def test_the_published_schema_is_that_of_the_types() -> None:
    """`make order-schema` writes it."""
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == document_schema()


@given(order=ORDERS)
@settings(deadline=None)
def test_the_document_is_the_same_whatever_the_event_looked_like(order: Order) -> None:
    """A snapshot tells of metadata, mode and ids, a thin event of nothing: the document is Stripe's answer."""
    event, session = sold(order)
    by_snapshot, by_thin = (
        document(spec_after(render(event)), session) for render in (snapshot_event_object, thin_event_object)
    )
    assert by_snapshot == by_thin
    assert mistakes_in(by_thin) == []


def test_all_that_checkout_collected_is_in_it() -> None:
    """What the buyer answered and chose, what they agreed to, and what it came to."""
    event, session = sold(EVERYTHING)
    found = document(spec_after(thin_event_object(event)), session)
    assert found["version"] == 1
    assert {
        key: found["session"][key] for key in ("clientReferenceId", "metadata", "mode", "paymentLink", "locale")
    } == {
        "clientReferenceId": "cart-17",
        "metadata": {"cart": "17"},
        "mode": "payment",
        "paymentLink": "plink_1",
        "locale": "de",
    }
    assert found["session"].keys() >= {"createdAt", "paymentIntent"} | {"recoveredFrom"}
    assert found["amount"] == {"total": 3000, "currency": "usd", "display": "30.00 USD"}
    assert found["presentment"] == {"total": 1634, "currency": "jpy", "display": "1634 JPY"}
    assert found["totalDetails"] == {
        "amountSubtotal": 2000,
        "amountDiscount": 200,
        "amountShipping": 900,
        "amountTax": 300,
    }
    assert found["shippingCost"] == {
        "shippingRate": "shr_1Express",
        "amountSubtotal": 900,
        "amountTax": 0,
        "amountTotal": 900,
    }
    assert found["customFields"] == [
        {"key": "engraving", "type": "text", "label": "Engraving", "value": "For Ada"},
        {
            "key": "wrap",
            "type": "dropdown",
            "label": "Wrap",
            "value": "silk",
            "valueLabel": "Silk",
            "optional": True,
        },
        {"key": "size", "type": "numeric", "label": "Size", "optional": True},
    ]
    assert {key: found["customer"][key] for key in ("businessName", "individualName", "taxIds")} == {
        "businessName": "Example GmbH",
        "individualName": "Ada Example",
        "taxIds": [{"type": "eu_vat", "value": "DE123456789"}],
    }
    assert found["consent"] == {"promotions": "opt_in", "termsOfService": "accepted"}
    assert found["discounts"] == [{"coupon": "SPRING", "promotionCode": "promo_1SpringSale"}]
    assert found["invoice"].keys() == {"id"}
    assert found["shipping"]["address"]["country"] == found["customer"]["address"]["country"]


def test_how_an_expired_session_is_taken_up_again_is_told() -> None:
    """Such as to a backend that hears of an order which was paid by the recovered Session."""
    session, _ = new_world(seed=11).play(Order(outcome=Outcome.EXPIRED, page=CheckoutPage(recoverable=True)))
    recovery = parse_session(session_object(session), session.id).session.collected.recovery
    assert recovery is not None
    assert recovery.url == f"https://buy.stripe.com/r/{session.id}"


@pytest.mark.parametrize("odd", [None, 7, "text", [], {}, [None], [7], {"value": 7}])
@pytest.mark.parametrize(
    "field",
    [
        "after_expiration",
        "collected_information",
        "consent",
        "custom_fields",
        "customer_details",
        "discounts",
        "invoice",
        "locale",
        "presentment_details",
        "shipping_cost",
        "total_details",
    ],
)
def test_an_odd_field_strands_no_order(field: str, odd: object) -> None:
    """What Stripe does not tell in a form that is known is left out."""
    session, _ = new_world(seed=11).play(EVERYTHING)
    answer = parse_session({**session_object(session), field: odd}, session.id)
    spec = spec_after(snapshot_event_object(sold(EVERYTHING)[0]))
    assert mistakes_in(document(spec, answer.session)) == []
