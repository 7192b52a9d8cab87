"""Where the Stripe Dashboard shows an order. Pure."""

from urllib.parse import quote

from fulfillment_api.spec import Session


def dashboard_url(session: Session) -> str:
    """Return the page of the payment, of the subscription, or else what the Dashboard finds by the Session's id.

    A Session has no page of its own in the Dashboard. An event that came early, or a thin one, names no payment, and an
    order that costs nothing has none.
    """
    if session.payment_intent is not None:
        page = f"payments/{session.payment_intent}"
    elif session.subscription is not None:
        page = f"subscriptions/{session.subscription}"
    else:
        page = f"search?query={quote(session.id)}"
    parts = ["https://dashboard.stripe.com", session.account, None if session.livemode else "test", page]
    return "/".join(each for each in parts if each)
