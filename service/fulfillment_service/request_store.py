"""Writes what an event changes into the cluster. No result is returned that the API server does not have."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TypeVar

from msgspec.structs import replace

from fulfillment_api import self_test
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Expiry, Payment, PaymentStatus, Reversal
from fulfillment_api.status import Phase
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    ForbiddenError,
    KubernetesError,
    NotFoundError,
    NotInstalledError,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, PaymentHint, ReversalHint, SpecChange

T = TypeVar("T")

Hint = ExpiryHint | PaymentHint | ReversalHint
"""What is for a request that is there, and makes none."""

_FIRST_WAIT, _LONGEST_WAIT = timedelta(milliseconds=50), timedelta(seconds=1)  # between two tries
_DENIED_AT_FIRST = (ForbiddenError, NotInstalledError)
"""What an API server also answers that has just started, and has not read its roles and definitions yet."""
_NONE: Mapping[str, str] = MappingProxyType({})
_STARTED_WITHIN = 2.0  # seconds


@unique
class OperationResult(StrEnum):
    """What an event changed in the cluster."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """The cluster knew it already, or better."""


@unique
class NotRecordedReason(StrEnum):
    """Why an event could not be recorded. Stripe sends it again, for three days in live mode."""

    UNAVAILABLE = "unavailable"
    """The API server did not take it within the deadline."""
    BLOCKED = "blocked"
    """A person must mend something: permissions, the CustomResourceDefinition, or an object in the way."""


class NotRecordedError(Exception):
    """The event is not in the cluster. The message says why, and what to do."""

    def __init__(self, reason: NotRecordedReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStore:
    """The FulfillmentRequests in the cluster, as the only writer of spec changes them."""

    requests: FulfillmentRequestClient
    semaphore: asyncio.Semaphore
    """As many as there are connections to the API server. It is first come, first served; the connections' own queue
    lets newcomers overtake, and under load some would wait until their deadline."""
    random: Callable[[], float]
    """Draws from [0, 1), to spread the tries of many."""

    async def record(self, change: SpecChange, *, deadline: float) -> OperationResult | Ignored:
        """Make sure that what an event changes is in the cluster, whatever was there before.

        Args:
            change: what the event changes.
            deadline: when to give up, in the event loop's time.

        Returns:
            What changed; why nothing did, if it is a hint for an order that is not there.

        Raises:
            NotRecordedError: it is not recorded, or not surely.
        """
        return await self.retry(lambda: _record(self.requests, change), deadline=deadline)

    async def ensure(self, desired: DesiredRequest, *, deadline: float) -> OperationResult:
        """Make sure that a request exists, and change nothing of one that does: events know better how it stands.

        Args:
            desired: the request.
            deadline: when to give up, in the event loop's time.

        Raises:
            NotRecordedError: it does not exist, or not surely.
        """
        return await self.retry(lambda: _create(self.requests, desired), deadline=deadline)

    async def preview(self, change: SpecChange, *, deadline: float) -> OperationResult | Ignored:
        """Return what `record` would, and change nothing.

        Args:
            change: what the event changes.
            deadline: when to give up, in the event loop's time.

        Raises:
            NotRecordedError: it cannot be read, or could not be recorded.
        """
        return await self.retry(lambda: _preview(self.requests, change), deadline=deadline)

    async def retry(self, attempt: Callable[[], Awaitable[T]], *, deadline: float) -> T:
        """Try until the API server takes it.

        Args:
            attempt: one try.
            deadline: when to give up, in the event loop's time.

        Raises:
            NotRecordedError: it is not recorded, or not surely.
        """
        time = asyncio.get_running_loop().time
        started_at = time() + _STARTED_WITHIN
        last: KubernetesError = ApiUnavailableError("the Kubernetes API did not answer in time")

        async def attempt_in_a_connection() -> T:
            async with self.semaphore:
                return await attempt()

        def raise_if_denied(error: KubernetesError, _delay: timedelta) -> None:
            nonlocal last
            last = error
            if isinstance(error, _DENIED_AT_FIRST) and time() >= started_at:
                raise error

        try:
            async with asyncio.timeout_at(deadline):
                return await retry(
                    attempt_in_a_connection,
                    on=(ApiUnavailableError, *_DENIED_AT_FIRST),
                    backoff=Backoff(_FIRST_WAIT, _LONGEST_WAIT, self.random),
                    scheduled=raise_if_denied,
                )
        except TimeoutError:
            raise _not_recorded(last) from None
        except KubernetesError as error:
            raise _not_recorded(error) from error


def _not_recorded(error: KubernetesError) -> NotRecordedError:
    passes = isinstance(error, ApiUnavailableError)
    return NotRecordedError(NotRecordedReason.UNAVAILABLE if passes else NotRecordedReason.BLOCKED, str(error))


async def _record(requests: FulfillmentRequestClient, change: SpecChange) -> OperationResult | Ignored:
    if isinstance(change, DesiredRequest):
        return await _create_or_update(requests, change)
    return await _record_hint(requests, change)


async def _create(requests: FulfillmentRequestClient, desired: DesiredRequest) -> OperationResult:
    marked = self_test.is_self_test(desired.spec.session.id)
    labels, annotations = (self_test.LABELS, self_test.ANNOTATIONS) if marked else (_NONE, _NONE)
    try:
        await requests.create(desired.name, desired.spec, labels=labels, annotations=annotations)
    except AlreadyExistsError:
        return OperationResult.UNCHANGED
    return OperationResult.CREATED


async def _create_or_update(requests: FulfillmentRequestClient, desired: DesiredRequest) -> OperationResult:
    while True:
        if await _create(requests, desired) is OperationResult.CREATED:
            return OperationResult.CREATED
        try:
            found = await requests.get(desired.name)
            if not _changes_payment(found, desired):
                return OperationResult.UNCHANGED
            await requests.patch_spec(found, desired.spec.payment)
        except (NotFoundError, ConflictError):
            continue  # another writer was quicker: read it again
        return OperationResult.UPDATED


async def _record_hint(requests: FulfillmentRequestClient, hint: Hint) -> OperationResult | Ignored:
    value = _value_of(hint)
    while True:
        found = await _requests_of(requests, hint)
        if not found:
            return _without_request(hint)
        lacking = [each for each in found if _lacks(each, hint)]
        try:
            for request in lacking:
                await requests.patch_spec(request, value)
        except (NotFoundError, ConflictError):
            continue  # another writer was quicker: read it again
        return OperationResult.UPDATED if lacking else OperationResult.UNCHANGED


async def _preview(requests: FulfillmentRequestClient, change: SpecChange) -> OperationResult | Ignored:
    if isinstance(change, DesiredRequest):
        try:
            changes = _changes_payment(await requests.get(change.name), change)
        except NotFoundError:
            return OperationResult.CREATED
    else:
        found = await _requests_of(requests, change)
        if not found:
            return _without_request(change)
        changes = any(_lacks(each, change) for each in found)
    return OperationResult.UPDATED if changes else OperationResult.UNCHANGED


def _value_of(hint: Hint) -> Expiry | Payment | Reversal:
    match hint:
        case ExpiryHint():
            return hint.expiry
        case PaymentHint():
            return hint.payment
        case ReversalHint():
            return hint.reversal


async def _requests_of(requests: FulfillmentRequestClient, hint: Hint) -> list[FulfillmentRequest]:
    """Find the requests that a hint is for: one, or none, unless some were made by hand."""
    if isinstance(hint, PaymentHint | ReversalHint):
        found = await requests.list_by_payment_intent(hint.payment_intent)
    else:
        try:
            found = [await requests.get(hint.name)]
        except NotFoundError:
            return []
        found = [each for each in found if each.spec.session.id == hint.session_id]
    origin = (hint.account, hint.livemode)
    return [each for each in found if (each.spec.session.account, each.spec.session.livemode) == origin]


def _without_request(hint: Hint) -> Ignored:
    return Ignored.EXPIRED if isinstance(hint, ExpiryHint) else Ignored.NO_ORDER


def _lacks(request: FulfillmentRequest, hint: Hint) -> bool:
    """Return whether a hint is new to a request: the operator asks Stripe anyway, so the newest one is enough."""
    spec, status = request.spec, request.status
    match hint:
        case ExpiryHint():
            fulfilled = status is not None and status.phase is Phase.FULFILLED
            return spec.expiry is None and spec.reversal is None and not fulfilled
        case PaymentHint(payment=payment):
            return _is_news_of(payment, request)
        case ReversalHint():
            # Of another event: a second refund is news although there was one before.
            return (
                spec.reversal is None or replace(hint.reversal, observed_at=spec.reversal.observed_at) != spec.reversal
            )


def _is_news_of(payment: Payment, request: FulfillmentRequest) -> bool:
    """Return whether an event tells how the payment ended that a request waits for.

    The second event of one end, such as a later capture, is news while the order awaits its payment all the same:
    Stripe's answer may have lagged the first. That a payment was canceled which had failed is none.
    """
    known, phase = request.spec.payment, request.status.phase if request.status else None
    if phase is Phase.FULFILLED or (phase is Phase.FAILED and payment.status is PaymentStatus.CANCELED):
        return False
    is_another = payment.status is known.status and payment.event != known.event
    return known.status.may_become(payment.status) or (is_another and phase is Phase.AWAITING_PAYMENT)


def _changes_payment(request: FulfillmentRequest, desired: DesiredRequest) -> bool:
    """Return whether an event is newer than the payment of a request.

    Raises:
        NotRecordedError: the request is another Session's.
    """
    wanted, stored = desired.spec.session, request.spec.session
    if (stored.id, stored.account) != (wanted.id, wanted.account):
        raise NotRecordedError(
            NotRecordedReason.BLOCKED,
            f"the name {desired.name} belongs to {wanted.id}, but the object of that name is about {stored.id}: "
            "it was not made by this service; delete it",
        )
    if request.status is not None and request.status.phase is Phase.FULFILLED:
        # The operator is done with it and watches it no more, so a new generation would stay unobserved for ever.
        return False
    return request.spec.payment.status.may_become(desired.spec.payment.status)
