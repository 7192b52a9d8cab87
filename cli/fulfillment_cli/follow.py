"""Follows one order at the API server until a deadline, however often its watch is cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient

LONGEST_WATCH = 300.0
"""Seconds: whoever sits between closes what is silent for longer."""
BETWEEN_WATCHES = 1.0
"""Seconds at least, from the begin of one to that of the next, however soon it ends."""
_LAST_READ = 5.0
"""Seconds that the read at the deadline may take."""


async def follow(
    requests: FulfillmentRequestClient, name: str, deadline: float
) -> AsyncGenerator[FulfillmentRequest, None]:
    """Give a request as it is, anew whenever it changes, and at last as it is at the deadline.

    It is read before each watch: what was deleted while there was none, no watch tells.

    Args:
        requests: where it is.
        name: which.
        deadline: until when, by the event loop's clock.

    Raises:
        NotFoundError: it was deleted.
        ApiUnavailableError: at the deadline it cannot be read.
        KubernetesError: as `FulfillmentRequestClient`'s methods do.
    """
    clock = asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            yield await _read(requests, name, max(deadline, begun + _LAST_READ))
            left = deadline - clock()
            if left <= 0:
                return
            async with aclosing(requests.watch(name, timeout=min(left, LONGEST_WATCH))) as changes:
                while (request := await _next(changes, deadline)) is not None:
                    yield request
        except NotFoundError as error:
            raise NotFoundError(f"{name} was deleted") from error
        except ApiUnavailableError:
            if clock() >= deadline:
                raise
        await asyncio.sleep(max(min(begun + BETWEEN_WATCHES, deadline) - clock(), 0))


async def _read(requests: FulfillmentRequestClient, name: str, until: float) -> FulfillmentRequest:
    try:
        async with asyncio.timeout_at(until):
            return await requests.get(name)
    except TimeoutError as error:
        raise ApiUnavailableError("the Kubernetes API did not answer in time") from error


async def _next(changes: AsyncGenerator[FulfillmentRequest, None], deadline: float) -> FulfillmentRequest | None:
    """Wait for the next change; None when the watch has ended, or the time is over."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(changes, None)
    except TimeoutError:
        return None
