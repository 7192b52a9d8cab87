"""Where the Stripe Dashboard shows an order. Pure."""

from urllib.parse import quote

from fulfillment_api.resource import FulfillmentRequest


def dashboard_url(request: FulfillmentRequest) -> str:
    """Return the page of the payment, of the subscription, or else what the Dashboard finds by the Session's id.

    A Session has no page of its own in the Dashboard. Of a thin event's order no payment is known before Stripe was
    asked, and an order that costs nothing has none.
    """
    session = request.spec.session
    if session.subscription is not None:
        page = f"subscriptions/{session.subscription}"
    elif request.payment_intent is not None:
        page = f"payments/{request.payment_intent}"
    else:
        page = f"search?query={quote(session.id)}"
    parts = ["https://dashboard.stripe.com", session.account, None if session.livemode else "test", page]
    return "/".join(each for each in parts if each)
