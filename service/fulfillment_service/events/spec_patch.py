"""Decides what an event changes of a request that is there: a field of its spec, or nothing. Pure."""

from typing import assert_never

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Expiry, Payment, PaymentStatus, Reversal
from fulfillment_api.status import Phase
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, PaymentHint, ReversalHint, SpecChange


def spec_patch(change: SpecChange, request: FulfillmentRequest) -> Payment | Expiry | Reversal | None:
    """Decide what an event changes of a request; None: that knows it already, or better.

    The operator asks Stripe anyway, so the newest of what it is told is enough.

    Args:
        change: what the event says.
        request: the one that it is about.
    """
    match change:
        case DesiredRequest(spec=spec):
            # That a Session was completed, and is unpaid, is known: there is its request.
            completed_only = spec.payment.status is PaymentStatus.UNPAID
            return spec.payment if not completed_only and _is_news(spec.payment, request) else None
        case PaymentHint(payment=payment):
            return payment if _is_news(payment, request) else None
        case ExpiryHint(expiry=expiry):
            is_known = request.spec.expiry is not None or request.spec.reversal is not None
            return None if is_known or _phase(request) is Phase.FULFILLED else expiry
        case ReversalHint(reversal=reversal):
            # Of another event: a second refund is news although there was one before.
            known = request.spec.reversal
            is_same = known is not None and replace(reversal, observed_at=known.observed_at) == known
            return None if is_same else reversal
    assert_never(change)


def _is_news(payment: Payment, request: FulfillmentRequest) -> bool:
    """Return whether an event tells how the payment goes on that a request waits for.

    Of a fulfilled order none does: the operator is done with it and watches it no more, so a new generation would stay
    unobserved for ever. The second event of one end, such as a later capture, is news while the order awaits its
    payment all the same: Stripe's answer may have lagged the first. That a payment was canceled which had failed is
    none.
    """
    known, phase = request.spec.payment, _phase(request)
    if phase is Phase.FULFILLED or (phase is Phase.FAILED and payment.status is PaymentStatus.CANCELED):
        return False
    is_another = payment.status is known.status and payment.event != known.event
    return known.status.may_become(payment.status) or (is_another and phase is Phase.AWAITING_PAYMENT)


def _phase(request: FulfillmentRequest) -> Phase | None:
    return request.status.phase if request.status else None
