"""Puts what an event asks for into the cluster. Nothing here acknowledges an event that the API server has not."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum, unique
from typing import TypeVar

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_runtime.kubernetes_api import (
    ApiUnavailableError,
    KubernetesApi,
    KubernetesError,
    RequestChangedError,
    RequestExistsError,
    RequestGoneError,
)
from fulfillment_service.translate import Desired

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries


@unique
class Outcome(StrEnum):
    """What an event changed in the cluster."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """The cluster knew it already, or better."""


@unique
class Trouble(StrEnum):
    """Why an event could not be recorded. Stripe sends it again, for three days in live mode."""

    UNAVAILABLE = "unavailable"
    """The API server did not take it within the deadline."""
    BLOCKED = "blocked"
    """A person must mend something: permissions, the CustomResourceDefinition, or an object in the way."""


class NotRecordedError(Exception):
    """The event is not in the cluster. The message says why, and what to do."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


async def record(
    api: KubernetesApi,
    desired: Desired,
    *,
    turns: asyncio.Semaphore,
    deadline: float,
    random: Callable[[], float],
) -> Outcome:
    """Make sure that the cluster knows what an event said, whatever it knew before.

    Args:
        api: the FulfillmentRequests.
        desired: what the event asks for.
        turns: as `until_taken`.
        deadline: as `until_taken`.
        random: as `until_taken`.

    Raises:
        NotRecordedError: it is not recorded, or not surely.
    """
    return await until_taken(lambda: _create_or_update(api, desired), turns=turns, deadline=deadline, random=random)


async def until_taken(
    attempt: Callable[[], Awaitable[T]],
    *,
    turns: asyncio.Semaphore,
    deadline: float,
    random: Callable[[], float],
) -> T:
    """Try until the API server takes it.

    Args:
        attempt: one try.
        turns: as many as there are connections to the API server. It is first come, first served; the connections'
            own queue lets newcomers overtake, and under load some would wait until their deadline.
        deadline: when to give up, in the event loop's time.
        random: draws from [0, 1), to spread the tries of many.

    Raises:
        NotRecordedError: it is not recorded, or not surely.
    """
    trouble = "the Kubernetes API did not answer in time"
    try:
        async with asyncio.timeout_at(deadline):
            pause = _FIRST_PAUSE
            while True:
                try:
                    async with turns:
                        return await attempt()
                except ApiUnavailableError as error:
                    trouble = str(error)
                await asyncio.sleep(pause * (0.5 + random() / 2))
                pause = min(pause * 2, _LONGEST_PAUSE)
    except TimeoutError:
        raise NotRecordedError(Trouble.UNAVAILABLE, trouble) from None
    except KubernetesError as error:
        raise NotRecordedError(Trouble.BLOCKED, str(error)) from error


async def _create_or_update(api: KubernetesApi, desired: Desired) -> Outcome:
    while True:
        try:
            await api.create(desired.name, desired.spec)
        except RequestExistsError:
            pass
        else:
            return Outcome.CREATED
        try:
            found = await api.get(desired.name)
            if not _is_news(found, desired):
                return Outcome.UNCHANGED
            await api.update_payment(found, desired.spec.payment)
        except (RequestGoneError, RequestChangedError):
            continue  # someone was quicker: look again
        return Outcome.UPDATED


def _is_news(found: FulfillmentRequest, desired: Desired) -> bool:
    """Tell whether the event says more of the payment than the request knows.

    Raises:
        NotRecordedError: the request is another Session's.
    """
    wanted, stored = desired.spec.session, found.spec.session
    if (stored.id, stored.account) != (wanted.id, wanted.account):
        raise NotRecordedError(
            Trouble.BLOCKED,
            f"the name {desired.name} belongs to {wanted.id}, but the object of that name is about {stored.id}: "
            "it was not made by this service; delete it",
        )
    if found.status is not None and found.status.phase is Phase.FULFILLED:
        # The operator is done with it and watches it no more, so a new generation would stay unobserved for ever.
        return False
    return found.spec.payment.status.may_become(desired.spec.payment.status)
