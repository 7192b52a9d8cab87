"""Puts what an event asks for into the cluster. Nothing here acknowledges an event that the API server has not."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum, unique
from typing import TypeVar

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import SaleKind
from fulfillment_api.status import Phase
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import (
    ApiUnavailableError,
    KubernetesError,
    RequestChangedError,
    RequestExistsError,
    RequestGoneError,
)
from fulfillment_service.translate import AfterSale, Desired, Ignored, Wanted

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
    wanted: Wanted,
    *,
    turns: asyncio.Semaphore,
    deadline: float,
    random: Callable[[], float],
) -> Outcome | Ignored:
    """Make sure that the cluster knows what an event said, whatever it knew before.

    Args:
        api: the FulfillmentRequests.
        wanted: what the event asks for.
        turns: as `until_taken`.
        deadline: as `until_taken`.
        random: as `until_taken`.

    Returns:
        What changed; why nothing is asked for, if it is news of an order that is not there.

    Raises:
        NotRecordedError: it is not recorded, or not surely.
    """

    async def attempt() -> Outcome | Ignored:
        match wanted:
            case Desired():
                return await _create_or_update(api, wanted)
            case AfterSale():
                return await _note(api, wanted)

    return await until_taken(attempt, turns=turns, deadline=deadline, random=random)


async def foresee(
    api: KubernetesApi,
    wanted: Wanted,
    *,
    turns: asyncio.Semaphore,
    deadline: float,
    random: Callable[[], float],
) -> Outcome | Ignored:
    """Tell what `record` would change, and change nothing.

    Args:
        api: the FulfillmentRequests.
        wanted: what the event asks for.
        turns: as `until_taken`.
        deadline: as `until_taken`.
        random: as `until_taken`.

    Raises:
        NotRecordedError: it cannot be told, or could not be recorded.
    """
    return await until_taken(lambda: _foresee(api, wanted), turns=turns, deadline=deadline, random=random)


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
            await api.update(found, desired.spec.payment)
        except (RequestGoneError, RequestChangedError):
            continue  # someone was quicker: look again
        return Outcome.UPDATED


async def _note(api: KubernetesApi, news: AfterSale) -> Outcome | Ignored:
    while True:
        orders = await _orders_of(api, news)
        if not orders:
            return news.otherwise
        unaware = [each for each in orders if _is_unaware(each, news)]
        try:
            for request in unaware:
                await api.update(request, news.sale)
        except (RequestGoneError, RequestChangedError):
            continue  # someone was quicker: look again
        return Outcome.UPDATED if unaware else Outcome.UNCHANGED


async def _foresee(api: KubernetesApi, wanted: Wanted) -> Outcome | Ignored:
    if isinstance(wanted, AfterSale):
        orders = await _orders_of(api, wanted)
        is_news = any(_is_unaware(each, wanted) for each in orders)
        unheard: Outcome | Ignored = Outcome.UNCHANGED if orders else wanted.otherwise
    else:
        try:
            is_news, unheard = _is_news(await api.get(wanted.name), wanted), Outcome.UNCHANGED
        except RequestGoneError:
            return Outcome.CREATED
    return Outcome.UPDATED if is_news else unheard


async def _orders_of(api: KubernetesApi, news: AfterSale) -> list[FulfillmentRequest]:
    """Find the requests that the news is about: one, or none."""
    if news.session is None:
        found = await api.paid_with(news.payment_intent or "")
    else:
        try:
            found = [await api.get(request_name(news.session, news.account))]
        except RequestGoneError:
            return []
    origin = (news.account, news.livemode)
    sessions = [each.spec.session for each in found]
    return [
        request
        for request, session in zip(found, sessions, strict=True)
        if (session.account, session.livemode) == origin and news.session in {None, session.id}
    ]


def _is_unaware(found: FulfillmentRequest, news: AfterSale) -> bool:
    """Tell whether the request does not know it: the operator asks Stripe of all, so the newest hint is enough."""
    known = found.spec.sale
    if news.sale.kind is SaleKind.EXPIRED:
        return known is None and (found.status is None or found.status.phase is not Phase.FULFILLED)
    return known is None or known.kind is not news.sale.kind


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
