"""The library's HTTP client, which can keep a successful answer's body from the library.

The library makes ordered dicts of each body, which takes several times as long as msgspec, and of a page of a hundred
Sessions a seventh of what an order costs the operator. Its raw requests have no way around that, but its HTTP client
may be one of ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus

import stripe

_kept: ContextVar[list[bytes] | None] = ContextVar("kept", default=None)
_NOTHING = b"null"


class StripeHttpClient(stripe.AIOHTTPClient):
    """Carries the library's requests."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request as the library does, and give it an empty answer in place of a body that is kept."""
        body, status, answered = await super().request_async(method, url, headers, post_data)
        kept = _kept.get()
        if kept is None or status != HTTPStatus.OK:
            return body, status, answered
        kept.append(body)
        return _NOTHING, status, answered


@contextmanager
def keeping_bodies() -> Iterator[list[bytes]]:
    """Keep the bodies of what this task asks for by a `StripeHttpClient` while the context lasts, and give them."""
    bodies: list[bytes] = []
    token = _kept.set(bodies)
    try:
        yield bodies
    finally:
        _kept.reset(token)
