"""Why a request is not taken for an event of Stripe's."""

from enum import StrEnum, unique
from http import HTTPStatus


@unique
class Refusal(StrEnum):
    """What is wrong with the request: a metric's label, and a word for programs in the answer."""

    NO_SIGNATURE = "no-signature"
    MALFORMED_SIGNATURE = "malformed-signature"
    WRONG_SIGNATURE = "wrong-signature"
    STALE_SIGNATURE = "stale-signature"
    FUTURE_SIGNATURE = "future-signature"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    NO_SESSION_ID = "no-session-id"
    ODD_ACCOUNT = "odd-account"
    UNFILTERABLE = "unfilterable"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    CUT_OFF = "cut-off"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status that says so."""
        match self:
            case Refusal.TOO_LARGE:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            case Refusal.TOO_SLOW:
                return HTTPStatus.REQUEST_TIMEOUT
            case _:
                return HTTPStatus.BAD_REQUEST


class RefusedError(Exception):
    """The request is not taken. The message is one sentence for a person, and shows nothing of the body."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
