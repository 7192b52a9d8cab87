"""What happens to one request: verify, decode, decide, record, and only then acknowledge."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog

from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.settings import Secret
from fulfillment_service.event import Event, decode_event
from fulfillment_service.metrics import WebhookMetrics
from fulfillment_service.record import NotRecordedError, Trouble, record
from fulfillment_service.refusals import Refusal, RefusedError
from fulfillment_service.signature import verify
from fulfillment_service.translate import EventType, Filters, Ignored, Wanted, translate

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe is told: a status that it acts on, and a few words that its Dashboard shows to a person."""

    status: HTTPStatus
    body: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Webhook:
    """Answers Stripe's events."""

    requests: KubernetesApi
    metrics: WebhookMetrics
    secrets: tuple[Secret, ...]
    """The signing secrets, each of which may have signed an event; others may take their place at any time."""
    tolerance: timedelta
    """How far a signature's time may be from the clock."""
    filters: Filters
    """Which events are asked for."""
    deadline: timedelta
    """How long an answer may take, from the request's head on."""
    turns: asyncio.Semaphore
    """As many as there are connections to the API server."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""
    random: Callable[[], float]
    """Draws from [0, 1)."""

    async def answer(self, read_body: Callable[[], Awaitable[bytes]], signature: str | None) -> Answer:
        """Answer one request, whatever it is, within the deadline.

        Args:
            read_body: reads the body; may raise `RefusedError`.
            signature: the `Stripe-Signature` header.
        """
        time = asyncio.get_running_loop().time
        started = time()
        with self.metrics.in_flight.track_inprogress():
            try:
                answer = await self._handle(read_body, signature, started)
            except RefusedError as error:
                self.metrics.refused(error.reason)
                _log.warning("webhook.refused", reason=error.reason, message=str(error))
                answer = Answer(error.reason.status, {"error": error.reason, "detail": str(error)})
            except Exception:  # noqa: BLE001 - it is logged, and the sender is owed an answer
                _log.exception("webhook.failed")
                answer = Answer(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    {"error": "internal", "detail": "the event is not recorded; the log of the service says more"},
                )
        self.metrics.answered(answer.status, time() - started)
        return answer

    async def _handle(self, read_body: Callable[[], Awaitable[bytes]], signature: str | None, started: float) -> Answer:
        deadline = started + self.deadline.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                body = await read_body()
        except TimeoutError:
            raise RefusedError(Refusal.TOO_SLOW, "the body did not arrive in time") from None
        now = self.clock()
        event = decode_event(verify(body, signature, self.secrets, now=now, tolerance=self.tolerance))
        self.metrics.came(now.timestamp())
        wanted = translate(event, self.filters, observed_at=now)
        if isinstance(wanted, Ignored):
            return self._ignore(event, wanted)
        return await self._record(event, wanted, started, deadline)

    def _ignore(self, event: Event, reason: Ignored) -> Answer:
        self.metrics.handled(EventType.of(event), reason)
        log = _log.debug if reason is Ignored.EVENT_TYPE else _log.info
        log("webhook.ignored", reason=reason, event_id=event.id, type=event.type, session=event.session.id)
        return Answer(HTTPStatus.OK, {"result": "ignored", "reason": reason})

    async def _record(self, event: Event, wanted: Wanted, started: float, deadline: float) -> Answer:
        kind, about = EventType.of(event), wanted.names
        log = _log.bind(event_id=event.id, type=kind, **about)
        try:
            outcome = await record(self.requests, wanted, turns=self.turns, deadline=deadline, random=self.random)
        except NotRecordedError as error:
            self.metrics.handled(kind, error.trouble)
            complain = log.error if error.trouble is Trouble.BLOCKED else log.warning
            complain("webhook.not_recorded", outcome=error.trouble, message=str(error))
            return Answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                {"error": error.trouble, "detail": "the event is not recorded; the log of the service says why"},
            )
        if isinstance(outcome, Ignored):
            return self._ignore(event, outcome)
        self.metrics.handled(kind, outcome)
        milliseconds = round((asyncio.get_running_loop().time() - started) * 1000, 1)
        log.info("webhook.recorded", outcome=outcome, milliseconds=milliseconds)
        return Answer(HTTPStatus.OK, {"result": outcome} | {key: about[key] for key in about.keys() & {"request"}})
