"""The library's HTTP client, but for a connection that is lost, and for a successful answer's body.

The library reads a body outside of what turns lost connections into its own error, and leaves the connection of one
that is not read to its end, as after a time-out, to the garbage collector. So the answer is read here.

The library makes ordered dicts of each body, which takes several times as long as msgspec, and of a page of a hundred
Sessions a seventh of what an order costs the operator. Its raw requests have no way around that, but its HTTP client
may be one of ours, which keeps such a body from it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus

import aiohttp
import stripe

_kept: ContextVar[list[bytes] | None] = ContextVar("kept", default=None)
_NOTHING = b"null"


class StripeHttpClient(stripe.AIOHTTPClient):
    """Carries the library's requests."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request as the library does, and give it an empty answer in place of a body that is kept.

        Raises:
            stripe.APIConnectionError: the connection is lost, or silent, before the answer or in its midst.
        """
        args, kwargs = self._get_request_args_kwargs(method, url, headers, post_data)
        try:
            async with self._session.request(*args, **kwargs) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            message = f"the connection to Stripe was lost, or there is none: {type(error).__name__}"
            raise stripe.APIConnectionError(message, should_retry=True) from error  # type: ignore[no-untyped-call] # the library's
        kept = _kept.get()
        if kept is None or answer.status != HTTPStatus.OK:
            return body, answer.status, answer.headers
        kept.append(body)
        return _NOTHING, answer.status, answer.headers


@contextmanager
def keeping_bodies() -> Iterator[list[bytes]]:
    """Keep the bodies of what this task asks for by a `StripeHttpClient` while the context lasts, and give them."""
    bodies: list[bytes] = []
    token = _kept.set(bodies)
    try:
        yield bodies
    finally:
        _kept.reset(token)
