"""Writes a status, however long the API server is away: what was done must not be done again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Status
from fulfillment_operator.controller.deleted_unfinished import tell_deleted_unfinished
from fulfillment_operator.controller.event_recorder import EventRecorder
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics
from fulfillment_operator.policy.conditions import observed
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.kubernetes.errors import (
    ApiUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    NotInstalledError,
    UndecodableError,
)
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_PASSING = (ApiUnavailableError, ForbiddenError, NotInstalledError, ConflictError)
"""What a person may have to mend, and mends: what was done is not done again meanwhile."""


@dataclass(frozen=True, slots=True)
class StatusWriter:
    """Writes what became of orders, and has it recorded for people."""

    requests: FulfillmentRequestClient
    recorder: EventRecorder
    backoff: Backoff
    """Between two tries."""
    metrics: OperatorMetrics
    waits: Callable[[], None]
    """Is called before each further try: a worker waits rightly, however long the API server takes nothing."""

    async def write(self, request: FulfillmentRequest, status: Status) -> FulfillmentRequest | None:
        """Write a status, and record what is new of it.

        Args:
            request: the object as it stood.
            status: what is to stand there.

        Returns:
            The object as it then is, or, if that does not decode, as it stood, with the new status; None when it is
            gone, or another operator, which took over, fulfilled it.
        """
        try:
            written = await self.until_taken(lambda: self._unless_fulfilled(request, status))
        except NotFoundError:
            tell_deleted_unfinished(request, self.metrics)
            return None
        if written is not None:
            self.recorder.record(request.status, written, status)
        return written

    async def until_taken(self, write: Callable[[], Awaitable[T]]) -> T:
        """Try a write until the API server takes it, and return what it returns.

        Raises:
            NotFoundError: the object is gone.
            InvalidError: the CustomResourceDefinition does not allow its content.
        """
        return await retry(write, on=_PASSING, backoff=self.backoff, scheduled=self._count)

    def _count(self, error: KubernetesError, delay: timedelta) -> None:
        self.waits()
        self.metrics.errors.labels(ErrorKind.KUBERNETES).inc()
        _log.warning("reconcile.status_not_written", message=str(error), again_after=delay.total_seconds())

    async def _unless_fulfilled(self, request: FulfillmentRequest, status: Status) -> FulfillmentRequest | None:
        name = request.metadata.name
        try:
            written = await self.requests.patch_status(name, status)
            newest = observed(written)
            return written if newest is None else await self.requests.patch_status(name, newest)
        except UndecodableError as error:  # it is written; the watch tells the controller that it does not decode
            metadata = replace(request.metadata, resource_version=error.resource_version)
            return replace(request, metadata=metadata, status=status)
        except InvalidError:
            found = await self.requests.get(name)
            if found.status is None or found.status.phase is not Phase.FULFILLED:
                raise
            _log.info("reconcile.fulfilled_meanwhile")
            return None
