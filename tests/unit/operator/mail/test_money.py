"""The amounts of an order as mails write them."""

from fulfillment_api.spec import Amount
from fulfillment_operator.checkout.collected import Collected, ShippingCost, TotalDetails
from fulfillment_operator.mail.money import amounts
from support.builders import make_session

PRESENTMENT = Amount(total=1634, currency="jpy", display="1634 JPY")


def test_the_amount_is_what_the_buyer_saw() -> None:
    """Not what the merchant gets of it, which templates can name, too, with what it consists of."""
    session = make_session(
        presentment=PRESENTMENT,
        locale="de",
        collected=Collected(
            shipping_cost=ShippingCost(amount_total=500),
            total_details=TotalDetails(amount_subtotal=599, amount_discount=100, amount_shipping=400, amount_tax=0),
        ),
    )
    assert amounts(session) == {
        "amount": "1.634 JPY",
        "merchant_amount": "10,99 USD",
        "subtotal": "5,99 USD",
        "discount": "1,00 USD",
        "tax": "0,00 USD",
        "shipping": "5,00 USD",
    }


def test_what_stripe_does_not_tell_is_none() -> None:
    """A template asks before it writes."""
    assert set(amounts(make_session(amount=None)).values()) == {None}
    assert amounts(make_session()) == {
        "amount": "10.99 USD",
        "merchant_amount": "10.99 USD",
        **dict.fromkeys(("subtotal", "discount", "tax", "shipping")),
    }
