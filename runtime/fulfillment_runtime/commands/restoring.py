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
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.commands.backup import BackedUpRequest, UndecodableRequest, undoes_end
from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    InvalidError,
    UndecodableError,
    retry_after,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.progress import progress

CONCURRENCY = 16
"""Requests under way: enough to be quick, few enough for the API server's fairness."""
_BACKOFF = Backoff(timedelta(seconds=0.5), timedelta(seconds=10), random.random, attempts=6)
_CREATED = 1  # the generation of any object that is created
_UNREADABLE = (
    "one is there that does not decode, as a newer version writes it, and is left alone: restore with that version"
)


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
    """Why it was rejected, and what is to be done."""


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
        return await retry(
            restoring.attempt,
            on=(ApiUnavailableError, ConflictError),
            backoff=_BACKOFF,
            retry_after=retry_after,
        )
    except InvalidError as error:
        return Restored(each.metadata.name, Outcome.REJECTED, str(error))
    except UndecodableError:
        return Restored(each.metadata.name, Outcome.REJECTED, _UNREADABLE)


@dataclass(slots=True)
class _Restoring:
    """One that is restored, by as many tries as that takes."""

    requests: FulfillmentRequestClient
    each: BackedUpRequest
    dry_run: bool
    has_begun: bool = False
    """Whether the object is ours to restore: then one without the mark is restored, though no answer said so."""

    async def attempt(self) -> Restored:
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
                return self._restored if self.has_begun else self._left_alone(found)
            if status is None and not self.dry_run:
                await self.requests.annotate(found, {names.RESTORING: None})
        self.has_begun = True
        if status is not None and not self.dry_run:
            written = await self.requests.restore_status(metadata.name, status)
            await self.requests.annotate(written, {names.RESTORING: None})
        return self._restored

    @property
    def _restored(self) -> Restored:
        return Restored(self.each.metadata.name, Outcome.RESTORED)

    def _left_alone(self, found: FulfillmentRequest) -> Restored:
        why = _contradiction(self.each, found)
        return Restored(found.metadata.name, Outcome.REJECTED if why else Outcome.EXISTS, why or "")


def _contradiction(each: BackedUpRequest, found: FulfillmentRequest) -> str | None:
    """Tell what is to be done about an order that had ended, and was made anew before it could be restored."""
    is_held = found.status is not None and found.status.reason == Reason.RESTORED  # it is not handed over
    if each.status is None or is_held or not undoes_end(each.status, found.status, found.metadata.annotations):
        return None
    order = f"{found.metadata.name} --namespace {found.metadata.namespace}"
    here = f"{found.status.phase} ({found.status.reason}) here" if found.status else "not reconciled yet here"
    if each.status.phase is Phase.FULFILLED:
        complete = f'kubectl fulfillment complete {order} --reference "before the restore"'
        return f"it is fulfilled in the backup, and {here}, so that it may be fulfilled twice: complete it, {complete}"
    fail = f'kubectl fulfillment fail {order} --reason "before the restore"'
    return f"it is failed ({each.status.reason}) in the backup, and {here}: unless it is wanted, fail it, {fail}"
