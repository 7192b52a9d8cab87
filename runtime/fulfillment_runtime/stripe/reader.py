"""Reads from Stripe's API: each request in its turn, and its answer as it came.

The library's own methods make an object of each part of an answer, which costs more than all else that is done with it,
and refuses forms that nobody reads: so its raw requests are used. The key, the version and the errors are its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import msgspec
import stripe

from fulfillment_runtime.json_text import without_lone_surrogates
from fulfillment_runtime.stripe.http_client import keeping_bodies
from fulfillment_runtime.stripe.refusals import refused_limit, retry_after
from fulfillment_runtime.stripe.throttle import Throttle, Turn

_SLOWER_TRIES = 2  # each at half of the pace: where that does not help, who asks comes back later


@dataclass(frozen=True, slots=True)
class StripeAnswer:
    """What Stripe answered."""

    body: bytes
    """As it came, but for halves of surrogate pairs, which nothing that is made of it could hold."""
    data: object
    """Its JSON."""


class StripeReader:
    """Asks Stripe, within its limits."""

    def __init__(self, client: stripe.StripeClient, throttle: Throttle) -> None:
        """Make a reader.

        Args:
            client: asks.
            throttle: tells when.
        """
        self._client = client
        self.throttle = throttle

    async def get(
        self,
        endpoint: str,
        params: Mapping[str, object],
        *,
        account: str | None,
        object_id: str = "",
        turn: Turn | None = None,
    ) -> StripeAnswer:
        """Make a GET request, and return the answer.

        What Stripe refuses for its limits is asked again in its turn, at the slower pace, a few times.

        Args:
            endpoint: the path, in which `{id}` stands for an object's id: such as /v1/checkout/sessions/{id}.
            params: the query, as Stripe's library takes it.
            account: the connected account that is asked about, acct_…; None for the key's own.
            object_id: the id in the path.
            turn: the turn of the request; None: it waits for one.

        Raises:
            stripe.StripeError: as the library does; `translate_error` makes ours of it.
        """
        refusals = 0
        while True:
            turn = turn or await self.throttle.turn(endpoint)
            try:
                return await self._get(endpoint.format(id=quote(object_id, safe="")), params, account, turn)
            except stripe.RateLimitError as error:
                if refusals == _SLOWER_TRIES or refused_limit(error) is None or retry_after(error) is not None:
                    raise
            refusals, turn = refusals + 1, None

    async def _get(self, path: str, params: Mapping[str, object], account: str | None, turn: Turn) -> StripeAnswer:
        failure: stripe.StripeError | None = None
        options = {"stripe_account": account} if account else {}
        try:
            with keeping_bodies() as bodies:
                answer: stripe.StripeResponse = await self._client.raw_request_async("get", path, **params, **options)
        except stripe.StripeError as error:
            failure = error
            raise
        finally:
            turn.end(failure)
        came = bodies[-1] if bodies else answer.body.encode()  # of an HTTP client that keeps none
        body = without_lone_surrogates(came)
        return StripeAnswer(body, _decode(body))


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_odd(body)


def _decode_odd(body: bytes) -> object:
    """Decode as the library does, which takes a number beyond all bounds."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise stripe.APIError("Stripe's answer is no JSON") from error
