"""Events as Stripe sends them, for the tests of the webhook service."""

from typing import Any

NOW = 1_793_600_000
"""A time in November 2026, in seconds since the epoch."""

SESSION: dict[str, Any] = {
    "id": "cs_test_a1B2c3D4e5F6g7H8i9J0",
    "object": "checkout.session",
    "amount_total": 1099,
    "client_reference_id": "cart-17",
    "created": NOW - 60,
    "currency": "usd",
    "customer": "cus_NSPHp4fOlXGw8P",
    "customer_details": {"email": "jenny@example.com", "name": "Jenny Rosen", "phone": "+15555550100"},
    "customer_email": "jenny@example.com",
    "livemode": False,
    "metadata": {"colour": "navy"},
    "mode": "payment",
    "payment_intent": "pi_1MhUT5E0b6fckueS",
    "payment_link": None,
    "payment_status": "paid",
    "shipping_details": {"name": "Jenny Rosen", "address": {"line1": "510 Townsend St"}},
    "status": "complete",
    "subscription": None,
}


def snapshot(kind: str = "checkout.session.completed", /, *, session: Any = None, **envelope: Any) -> dict[str, Any]:
    """Make a snapshot event about a Session, which is `SESSION` with the given fields, or else whatever is given."""
    about = {**SESSION, **session} if isinstance(session, dict) else SESSION if session is None else session
    return {
        "id": "evt_1MhUT6E0b6fckueS",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": NOW,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        **envelope,
    }


def thin(kind: str = "v1.checkout.session.completed", /, **envelope: Any) -> dict[str, Any]:
    """Make a thin event about the same Session."""
    session_id = SESSION["id"]
    return {
        "id": "evt_test_65S1MhUT6E0b6fckueS",
        "object": "v2.core.event",
        "context": None,
        "created": "2026-11-02T12:53:20.000Z",
        "livemode": False,
        "reason": None,
        "related_object": {
            "id": session_id,
            "type": "checkout.session",
            "url": f"/v1/checkout/sessions/{session_id}",
        },
        "type": kind,
        **envelope,
    }


def payment_intent_event(kind: str, /, **about: Any) -> dict[str, Any]:
    """Make a snapshot event about the PaymentIntent that the same Session was paid with."""
    shown = {"id": SESSION["payment_intent"], "object": "payment_intent", "livemode": False}
    return {**snapshot(kind, id="evt_2"), "data": {"object": shown | about}}


def charge_event(kind: str, /, **about: Any) -> dict[str, Any]:
    """Make a snapshot event about the charge, or its dispute, that the same Session was paid with."""
    shown = {"id": "ch_3MhUT5E0b6fckueS", "livemode": False, "payment_intent": SESSION["payment_intent"]}
    if kind == "charge.refunded":
        shown |= {"object": "charge", "disputed": False, "refunded": True, "amount": 1099, "amount_refunded": 1099}
    return {**snapshot(kind, id="evt_2"), "data": {"object": shown | about}}
