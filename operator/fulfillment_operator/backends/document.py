"""An order as a document, for who fulfills it. It holds personal data."""

from typing import Any

import msgspec

from fulfillment_operator.backends.interface import PaidOrder


def order_document(order: PaidOrder) -> dict[str, Any]:
    """Write an order as plain data."""
    return {
        "session": msgspec.to_builtins(order.reference),
        "amount": msgspec.to_builtins(order.session.amount),
        "lineItems": msgspec.to_builtins(order.session.line_items),
        "customer": msgspec.to_builtins(order.session.customer),
        "shipping": msgspec.to_builtins(order.session.shipping),
    }
