"""The amounts of an order as mails write them. Pure."""

from fulfillment_operator.checkout.collected import TotalDetails
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_runtime.localized_money import localized


def amounts(session: CheckoutSession) -> dict[str, str | None]:
    """Write the amounts of an order, by the names that templates know them by; None: Stripe does not tell.

    `amount` is what the buyer saw and paid. All others are in the merchant's currency: Stripe tells them in no other.
    """
    details = session.collected.total_details or TotalDetails()
    cost = session.collected.shipping_cost

    def written(total: int | None) -> str | None:
        if total is None or session.amount is None:
            return None
        return localized(total, session.amount.currency, session.locale)

    seen = session.presentment or session.amount
    return {
        "amount": localized(seen.total, seen.currency, session.locale) if seen else None,
        "merchant_amount": written(session.amount.total if session.amount else None),
        "subtotal": written(details.amount_subtotal),
        "discount": written(details.amount_discount),
        "tax": written(details.amount_tax),
        "shipping": written(cost.amount_total if cost else details.amount_shipping),
    }
