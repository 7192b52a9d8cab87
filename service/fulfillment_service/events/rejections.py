"""Why a request is rejected: it is no event of Stripe's, or one of which nothing can be made."""

from enum import StrEnum, unique

from fulfillment_runtime.chart_values import with_chart_values


@unique
class EventRejectReason(StrEnum):
    """What is wrong with the request: a metric's label, and the error code in the answer."""

    NO_SIGNATURE = "no-signature"
    MALFORMED_SIGNATURE = "malformed-signature"
    WRONG_SIGNATURE = "wrong-signature"
    STALE_SIGNATURE = "stale-signature"
    FUTURE_SIGNATURE = "future-signature"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    NO_SESSION_ID = "no-session-id"
    INVALID_ACCOUNT = "invalid-account"
    UNFILTERABLE = "unfilterable"


OF_SIGNED_EVENTS = (
    EventRejectReason.NOT_JSON,
    EventRejectReason.NOT_AN_OBJECT,
    EventRejectReason.NO_SESSION_ID,
    EventRejectReason.INVALID_ACCOUNT,
    EventRejectReason.UNFILTERABLE,
)
"""What is wrong with a request that Stripe signed. The others anybody can cause, at any rate."""


class EventRejectedError(Exception):
    """The request is rejected. The message is one sentence for a person, and shows nothing of the body."""

    def __init__(self, reason: EventRejectReason, message: str) -> None:
        super().__init__(with_chart_values(message))
        self.reason = reason
