"""Writes a status, however long the API server is away: what was done must not be done again."""

import asyncio
import itertools
from dataclasses import dataclass

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Status
from fulfillment_operator.announcer import Announcer
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.metrics import OperatorMetrics, Trouble
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import (
    ApiDeniedError,
    ApiUnavailableError,
    NotInstalledError,
    RequestChangedError,
    RequestGoneError,
    RequestRefusedError,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StatusWriter:
    """Writes what became of orders, and has it told."""

    kubernetes: KubernetesApi
    announcer: Announcer
    backoff: Backoff
    """Between two tries."""
    metrics: OperatorMetrics

    async def write(self, request: FulfillmentRequest, status: Status) -> FulfillmentRequest | None:
        """Write a status, and tell people what is new of it.

        Args:
            request: the object as it stood.
            status: what is to stand there.

        Returns:
            The object as it then is; None when it is gone, or another operator, which took over, fulfilled it.
        """
        written = await self._until_done(request.metadata.name, status)
        if written is not None:
            await self.announcer.tell(request.status, written, status)
        return written

    async def _until_done(self, name: str, status: Status) -> FulfillmentRequest | None:
        for failures in itertools.count(1):
            try:
                return await self._unless_fulfilled(name, status)
            except RequestGoneError:
                _log.info("reconcile.request_gone")
                return None
            except (ApiUnavailableError, ApiDeniedError, NotInstalledError, RequestChangedError) as error:
                delay = self.backoff.delay(failures).total_seconds()
                self.metrics.troubles.labels(Trouble.KUBERNETES).inc()
                _log.warning("reconcile.status_not_written", message=str(error), again_after=delay)
                await asyncio.sleep(delay)
        raise AssertionError("the count never ends")  # pragma: no cover

    async def _unless_fulfilled(self, name: str, status: Status) -> FulfillmentRequest | None:
        try:
            return await self.kubernetes.write_status(name, status)
        except RequestRefusedError:
            found = await self.kubernetes.get(name)
            if found.status is None or found.status.phase is not Phase.FULFILLED:
                raise
            _log.info("reconcile.fulfilled_meanwhile")
            return None
