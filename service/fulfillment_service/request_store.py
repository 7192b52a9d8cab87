"""Writes what an event changes into the cluster. No result is returned that the API server does not have."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TypeVar

from fulfillment_api import self_test
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Expiry, Payment, Reversal
from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    KubernetesError,
    NotFoundError,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_service.api_retry import until_answered
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.spec_patch import spec_patch
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, PaymentHint, ReversalHint, SpecChange

T = TypeVar("T")

Hint = ExpiryHint | PaymentHint | ReversalHint
"""What is for a request that is there, and makes none."""

_NONE: Mapping[str, str] = MappingProxyType({})


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
            attempt: one try; another is made at once when NotFoundError or ConflictError tell of a quicker writer.
            deadline: when to give up, in the event loop's time.

        Raises:
            NotRecordedError: it is not recorded, or not surely.
        """

        async def attempt_in_a_connection() -> T:
            async with self.semaphore:
                while True:
                    try:
                        return await attempt()
                    except (NotFoundError, ConflictError):
                        continue  # another writer was quicker: read it again

        try:
            return await until_answered(attempt_in_a_connection, deadline=deadline, random=self.random)
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
    if await _create(requests, desired) is OperationResult.CREATED:
        return OperationResult.CREATED
    return await _patch(requests, desired, [await _found(requests, desired)])


async def _record_hint(requests: FulfillmentRequestClient, hint: Hint) -> OperationResult | Ignored:
    found = await _requests_of(requests, hint)
    return await _patch(requests, hint, found) if found else _without_request(hint)


async def _patch(
    requests: FulfillmentRequestClient, change: SpecChange, found: list[FulfillmentRequest]
) -> OperationResult:
    patches = _patches(change, found)
    for request, patch in patches:
        await requests.patch_spec(request, patch)
    return OperationResult.UPDATED if patches else OperationResult.UNCHANGED


def _patches(
    change: SpecChange, found: list[FulfillmentRequest]
) -> list[tuple[FulfillmentRequest, Payment | Expiry | Reversal]]:
    return [(each, patch) for each in found if (patch := spec_patch(change, each)) is not None]


async def _preview(requests: FulfillmentRequestClient, change: SpecChange) -> OperationResult | Ignored:
    if isinstance(change, DesiredRequest):
        try:
            found = [await _found(requests, change)]
        except NotFoundError:
            return OperationResult.CREATED
    else:
        found = await _requests_of(requests, change)
        if not found:
            return _without_request(change)
    return OperationResult.UPDATED if _patches(change, found) else OperationResult.UNCHANGED


async def _found(requests: FulfillmentRequestClient, desired: DesiredRequest) -> FulfillmentRequest:
    """Read the request of that name.

    Raises:
        NotRecordedError: it is another Session's.
    """
    found = await requests.get(desired.name)
    wanted, stored = desired.spec.session, found.spec.session
    if (stored.id, stored.account) != (wanted.id, wanted.account):
        raise NotRecordedError(
            NotRecordedReason.BLOCKED,
            f"the name {desired.name} belongs to {wanted.id}, but the object of that name is about {stored.id}: "
            "it was not made by this service; delete it",
        )
    return found


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
