"""Asks the API server until it answers, or a deadline has passed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.kubernetes.errors import (
    ApiUnavailableError,
    ForbiddenError,
    KubernetesError,
    NotInstalledError,
    retry_after,
)

T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = timedelta(milliseconds=50), timedelta(seconds=1)  # between two tries
_DENIED_AT_FIRST = (ForbiddenError, NotInstalledError)
"""What an API server also answers that has just started, and has not read its roles and definitions yet."""
_STARTED_WITHIN = 2.0  # seconds


async def until_answered(attempt: Callable[[], Awaitable[T]], *, deadline: float, random: Callable[[], float]) -> T:
    """Try until the API server answers, and no sooner than it asks for.

    Args:
        attempt: one try.
        deadline: when to give up, in the event loop's time.
        random: draws from [0, 1), to spread the tries of many.

    Raises:
        KubernetesError: that of the last try; ApiUnavailableError if none was answered.
    """
    time = asyncio.get_running_loop().time
    may_be_starting_until = time() + _STARTED_WITHIN
    last: KubernetesError = ApiUnavailableError("the Kubernetes API did not answer in time")

    def raise_if_denied(error: KubernetesError, _delay: timedelta) -> None:
        nonlocal last
        last = error
        if isinstance(error, _DENIED_AT_FIRST) and time() >= may_be_starting_until:
            raise error

    try:
        async with asyncio.timeout_at(deadline):
            return await retry(
                attempt,
                on=(ApiUnavailableError, *_DENIED_AT_FIRST),
                backoff=Backoff(_FIRST_WAIT, _LONGEST_WAIT, random),
                retry_after=retry_after,
                scheduled=raise_if_denied,
            )
    except TimeoutError:
        raise last from None
