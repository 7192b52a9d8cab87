"""Brings FulfillmentRequests back from a backup, each with its status.

The API server drops the status of an object that is created, so it is written afterwards. Until it is, an annotation
keeps the operator from the object; one that a broken run left with it is brought to its end by the next.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique

from fulfillment_api import names
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.commands.backup import BackedUpRequest, UndecodableRequest
from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    InvalidError,
    retry_after,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.progress import progress

CONCURRENCY = 16
"""Requests under way: enough to be quick, few enough for the API server's fairness."""
_BACKOFF = Backoff(timedelta(seconds=0.5), timedelta(seconds=10), random.random, attempts=6)
_CREATED = 1  # the generation of any object that is created


@unique
class Outcome(StrEnum):
    """What became of one."""

    RESTORED = "restored"
    EXISTS = "exists"
    """It is left alone."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one."""

    name: str
    outcome: Outcome
    message: str = ""
    """Why it was rejected."""


async def restore(
    requests: FulfillmentRequestClient, backup: Sequence[BackedUpRequest | UndecodableRequest], *, dry_run: bool
) -> list[Restored]:
    """Restore what is not there.

    Args:
        requests: where to.
        backup: what there was.
        dry_run: whether to let the API server say what it would make of them, and write nothing.

    Raises:
        KubernetesError: as `FulfillmentRequestClient`'s methods do; run it again when that is mended.
    """
    done: list[Restored] = []
    with progress("orders", len(backup)) as advance:
        for start in range(0, len(backup), CONCURRENCY):
            batch = backup[start : start + CONCURRENCY]
            restoring = (_one(requests, each, dry_run=dry_run) for each in batch)
            for each in await asyncio.gather(*restoring, return_exceptions=True):
                if isinstance(each, BaseException):
                    raise each
                done.append(each)
            advance(len(batch))
    return done


async def _one(
    requests: FulfillmentRequestClient, each: BackedUpRequest | UndecodableRequest, *, dry_run: bool
) -> Restored:
    if isinstance(each, UndecodableRequest):
        return Restored(each.metadata.name, Outcome.REJECTED, each.message)
    restoring = _Restoring(requests, each, dry_run=dry_run)
    try:
        outcome = await retry(
            restoring.attempt,
            on=(ApiUnavailableError, ConflictError),
            backoff=_BACKOFF,
            retry_after=retry_after,
        )
    except InvalidError as error:
        return Restored(each.metadata.name, Outcome.REJECTED, str(error))
    return Restored(each.metadata.name, outcome)


@dataclass(slots=True)
class _Restoring:
    """One that is restored, by as many tries as that takes."""

    requests: FulfillmentRequestClient
    each: BackedUpRequest
    dry_run: bool
    has_begun: bool = False
    """Whether the object is ours to restore: then one without the mark is restored, though no answer said so."""

    async def attempt(self) -> Outcome:
        """Try once."""
        metadata, status = self.each.metadata, self.each.status_of(_CREATED)
        # A backup that was taken during a restore has the mark, too: it is of that one.
        annotations = {key: value for key, value in metadata.annotations.items() if key != names.RESTORING}
        if status:
            annotations[names.RESTORING] = "fulfillment restore"
        try:
            await self.requests.create(
                metadata.name, self.each.spec, labels=metadata.labels, annotations=annotations, dry_run=self.dry_run
            )
        except AlreadyExistsError:
            found = await self.requests.get(metadata.name)
            if names.RESTORING not in found.metadata.annotations:
                return Outcome.RESTORED if self.has_begun else Outcome.EXISTS
            if status is None and not self.dry_run:
                await self.requests.annotate(found, {names.RESTORING: None})
        self.has_begun = True
        if status is not None and not self.dry_run:
            written = await self.requests.restore_status(metadata.name, status)
            await self.requests.annotate(written, {names.RESTORING: None})
        return Outcome.RESTORED
