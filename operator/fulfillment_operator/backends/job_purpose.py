"""What Jobs are made for an order: one to fulfill it, and one for each thing that came after the sale. Pure."""

import base64
import hashlib

from fulfillment_api.spec import SaleKind
from fulfillment_operator.backends.interface import PaidOrder
from fulfillment_operator.backends.job_manifest import (
    AFTER_SALE_LABEL,
    ORDER_FILE,
    ORDER_FOLDER,
    REQUEST_LABEL,
    Owner,
    Purpose,
)


def to_fulfill(order: PaidOrder) -> Purpose:
    """Make the one Job of an order, or of another try that a person asked for."""
    return Purpose(job_name(order), _owner(order), {REQUEST_LABEL: order.key}, environment_of(order))


def to_see_to(order: PaidOrder, kind: SaleKind) -> Purpose:
    """Make the one Job that sees to what came after the sale."""
    return Purpose(
        f"{order.key}-{kind}",
        _owner(order),
        {REQUEST_LABEL: order.key, AFTER_SALE_LABEL: kind},
        {**environment_of(order), "AFTER_SALE": kind},
    )


def fulfilling(key: str) -> str:
    """Select by label the Jobs that fulfill an order, or did."""
    return f"{REQUEST_LABEL}={key},!{AFTER_SALE_LABEL}"


def job_name(order: PaidOrder) -> str:
    """Name the one Job of an order, or of another try that a person asked for."""
    if not order.retry:
        return order.key
    digest = hashlib.sha256(order.retry.encode()).digest()
    return f"{order.key}-{base64.b32encode(digest[:5]).decode().lower()}"


def environment_of(order: PaidOrder) -> dict[str, str]:
    """Tell a container what the order is, without anything personal."""
    amount = order.session.amount
    return {
        "ORDER_KEY": order.key,
        "ORDER_FILE": f"{ORDER_FOLDER}/{ORDER_FILE}",
        "SESSION_ID": order.reference.id,
        "LIVEMODE": str(order.reference.livemode).lower(),
        "MODE": order.session.mode,
        **({"AMOUNT": str(amount.total), "CURRENCY": amount.currency} if amount else {}),
    }


def _owner(order: PaidOrder) -> Owner:
    return Owner(order.key, order.uid)
