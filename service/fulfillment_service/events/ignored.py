"""Why an event of Stripe's changes nothing."""

from enum import StrEnum, unique


@unique
class Ignored(StrEnum):
    """Why an event of Stripe's asks for nothing."""

    EVENT_TYPE = "event-type"
    """It is about something else."""
    EXPIRED = "expired"
    """The Session was never completed: nothing was bought, and no payment failed."""
    NO_ORDER = "no-order"
    """No request is of this payment: it paid for something else, or its request does not name it yet."""
    NO_PAYMENT_INTENT = "no-payment-intent"
    """It does not say which payment it is about, as a thin event, or one of a charge that Checkout did not make."""
    REFUND_UPDATED = "refund-updated"
    """A refund changed in a way that is nothing to the order: it did not fail, nor was it canceled."""
    SETUP_MODE = "setup-mode"
    """The Session saved a payment method and sold nothing."""
    LIVEMODE = "livemode"
    """It is a test event, or a live one, where only the other mode counts."""
    ACCOUNT = "account"
    """It comes from a connected account whose events do not count."""
    PAYMENT_LINK = "payment-link"
    """The Session did not come from a payment link whose orders count."""
    METADATA = "metadata"
    """The Session lacks metadata that it must have to count."""
    OLDER_THAN_RETENTION = "older-than-retention"
    """It is so old that its order may be finished and deleted: acting on it could fulfill an order twice."""
