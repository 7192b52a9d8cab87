"""The order that a backend gets, from its request and its Session. Pure."""

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Fulfillment
from fulfillment_operator.backends.order import PaidOrder
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.policy.callbacks import callback_of
from fulfillment_operator.policy.manual_actions import latest_retry


def idempotency_key(request: FulfillmentRequest) -> str:
    """The order's idempotency key: its only possible name, so it is the same wherever the order is handled."""
    return request.metadata.name


def paid_order(request: FulfillmentRequest, session: CheckoutSession, before: Fulfillment | None) -> PaidOrder:
    """Make the order that a backend gets.

    Args:
        request: the object as it stands in the cluster.
        session: the Session as Stripe has it.
        before: what the backend did so far; None when it did nothing, or a person asks to begin anew.
    """
    known = request.status.fulfillment if request.status else None
    payment = request.spec.payment
    return PaidOrder(
        idempotency_key(request),
        request.metadata.namespace,
        request.spec.session,
        session,
        in_progress=before is not None and before.accepted_at is not None,
        callback=callback_of(request, before),
        uid=request.metadata.uid,
        retry=latest_retry(request),
        started_at=before.started_at if before else None,
        paid_at=payment.observed_at if payment.status.is_settled else None,
        earlier_try_at=known.started_at if known and before is None else None,
    )
