"""Stripe's answers to requests that it refuses, in its own words and JSON shape.

Source: https://docs.stripe.com/api/errors and the messages that Stripe's API gives.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer other than 200.

    Attributes:
        status: the HTTP status.
        headers: what the answer's headers say besides.
    """

    def __init__(  # noqa: PLR0913 - the parts of Stripe's error object
        self,
        status: int,
        message: str,
        *,
        kind: str = _INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self._error = {"code": code, "doc_url": None, "message": message, "param": param, "type": kind}
        if code is not None:
            self._error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body: `{"error": {…}}`, without what is not known."""
        return {"error": {key: value for key, value in self._error.items() if value is not None}}


def unauthenticated(key: str | None) -> ApiError:
    """Refuse a request without a key, or with one that nobody gave out."""
    if key is None:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at "
            "https://support.stripe.com/."
        )
    else:
        message = f"Invalid API Key provided: {masked(key)}"
    return ApiError(HTTPStatus.UNAUTHORIZED, message, headers={"WWW-Authenticate": 'Bearer realm="Stripe"'})


def forbidden(key: str) -> ApiError:
    """Refuse a restricted key that was not given the right."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint. Enabling "
        '"Checkout Sessions Read" permissions on this key would allow this request to continue.',
    )


def missing(kind: str, object_id: str, param: str, *, livemode_of_key: bool, in_other_mode: bool) -> ApiError:
    """Say that there is no such object, and whether the key's mode is why."""
    hint = ""
    if in_other_mode:
        there, used = ("test", "live") if livemode_of_key else ("live", "test")
        hint = f"; a similar object exists in {there} mode, but a {used} mode key was used to make this request."
    return ApiError(HTTPStatus.NOT_FOUND, f"No such {kind}: '{object_id}'{hint}", code="resource_missing", param=param)


def invalid(param: str, message: str, *, code: str | None = None) -> ApiError:
    """Refuse a parameter."""
    return ApiError(HTTPStatus.BAD_REQUEST, message, code=code, param=param)


def unknown_url(method: str, path: str) -> ApiError:
    """Say that Stripe, or the stand-in, has no such endpoint."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
    )


def fault(status: int, headers: Mapping[str, str], code: str | None = None) -> ApiError:
    """Give the answer that Stripe's own trouble has."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ApiError(
            status,
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
            code="rate_limit",
            headers=headers,
        )
    if status == HTTPStatus.CONFLICT:
        return ApiError(
            status,
            "This object cannot be accessed right now because another API request or Stripe process is "
            "currently accessing it.",
            code="lock_timeout",
            headers=headers,
        )
    kind = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _INVALID_REQUEST
    return ApiError(status, "An unknown error occurred", kind=kind, code=code, headers=headers)


def masked(key: str) -> str:
    """Show a key as Stripe does: its kind and its last four characters."""
    prefix, last = key[: len("sk_test_")], key[-4:]
    return f"{prefix}{'*' * max(len(key) - len(prefix) - len(last), 0)}{last}"
