"""A request as it could stand in the cluster, and a Session as Stripe could have it."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from fulfillment_api.names import request_name
from fulfillment_api.resource import Annotations, FulfillmentRequest, ObjectMeta
from fulfillment_api.spec import Amount, Callback, Mode, Payment, PaymentStatus, Session, Spec
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    LineItem,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.checkout.collected import Customer
from fulfillment_operator.checkout.session import (
    CheckoutSession,
    PaymentIntent,
    PaymentIntentStatus,
    SessionPayment,
    SessionStatus,
)

CREATED = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SESSION_ID = "cs_test_a1B2c3D4e5F6g7H8i9J0"


def make_request(
    payment: PaymentStatus = PaymentStatus.PAID,
    *,
    status: Status | None = None,
    session_id: str = SESSION_ID,
    name: str | None = None,
    generation: int = 1,
    livemode: bool = False,
    deleted: bool = False,
    annotations: Annotations = Annotations(),  # noqa: B008 - frozen
    callback: Callback | None = None,
) -> FulfillmentRequest:
    return FulfillmentRequest(
        metadata=ObjectMeta(
            name=name or request_name(session_id),
            namespace="shop",
            uid="5c1d2a6e-0000-4000-8000-000000000001",
            resource_version="7",
            generation=generation,
            creation_timestamp=CREATED,
            deletion_timestamp=CREATED if deleted else None,
            annotations=msgspec.to_builtins(annotations),
        ),
        spec=Spec(
            session=Session(id=session_id, livemode=livemode, mode=Mode.PAYMENT),
            payment=Payment(status=payment, event="evt_1", observed_at=CREATED),
            amount=Amount(total=1099, currency="usd", display="10.99 USD"),
            callback=callback,
        ),
        status=status,
    )


def make_session(payment: SessionPayment = SessionPayment.PAID, **changes: Any) -> CheckoutSession:
    facts: dict[str, Any] = {
        "id": SESSION_ID,
        "mode": "payment",
        "status": SessionStatus.COMPLETE,
        "payment": payment,
        "line_items": (
            LineItem(id="li_1", description="Cotton T-shirt, navy, M", quantity=1, amount_total=1099, currency="usd"),
        ),
        "amount": Amount(total=1099, currency="usd", display="10.99 USD"),
        "customer": Customer(email="jenny@example.com", name="Jenny Rosen"),
        "shipping": None,
        "metadata": {"cart": "c-17"},
    }
    return CheckoutSession(**{**facts, **changes})


def make_intent(status: PaymentIntentStatus, **changes: Any) -> PaymentIntent:
    facts: dict[str, Any] = {"id": "pi_1", "status": status, "amount": make_session().amount}
    return PaymentIntent(**{**facts, **changes})


def make_status(
    phase: Phase,
    reason: Reason,
    *,
    notified: Reason | None = None,
    next_attempt_at: datetime | None = None,
    generation: int = 1,
) -> Status:
    conditions = []
    if notified:
        truth = ConditionStatus.TRUE if notified is Reason.MAIL_SENT else ConditionStatus.FALSE
        conditions.append(
            Condition(
                type=ConditionType.CUSTOMER_NOTIFIED,
                status=truth,
                reason=notified,
                message="",
                last_transition_time=CREATED,
            )
        )
    return Status(
        phase=phase,
        reason=reason,
        message="",
        observed_generation=generation,
        conditions=conditions,
        fulfillment=Fulfillment(backend="log", attempts=1, started_at=CREATED, next_attempt_at=next_attempt_at),
    )
