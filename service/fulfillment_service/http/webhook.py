"""What happens to one event: verify, parse, decide, record, and only then acknowledge."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus

import structlog

from fulfillment_api.names import SELF_TEST
from fulfillment_runtime.settings import Secret
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import Event, parse_event
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import OF_SIGNED_EVENTS, EventRejectedError
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.translate import PaymentHint, ReversalHint, SpecChange, translate
from fulfillment_service.http.metrics import WebhookMetrics
from fulfillment_service.http.request_body import BodyRejectedError
from fulfillment_service.http.responses import Answer, answer_request
from fulfillment_service.http.senders import AllowedSources, Sender, SenderRejectedError, SenderRejectReason
from fulfillment_service.http.signature import verify
from fulfillment_service.http.sparse_log import SparseLog
from fulfillment_service.request_store import NotRecordedError, NotRecordedReason, OperationResult, RequestStore

_log = structlog.get_logger(__name__)

_TURNED_AWAY = {
    SenderRejectReason.OVERLOADED: "there are too many connections: they are answered 503, and Stripe sends again",
    SenderRejectReason.INVALID_HTTP: "a sender does not speak HTTP",
}
_SELF_TEST = f"evt_{SELF_TEST}"


@dataclass(slots=True, kw_only=True)
class Webhook:
    """Answers Stripe's events."""

    store: RequestStore
    metrics: WebhookMetrics
    secrets: tuple[Secret, ...]
    """The signing secrets, each of which may have signed an event; others may take their place at any time."""
    tolerance: timedelta
    """How far a signature's time may be from the clock."""
    rules: EventRules
    """Which events count, and what is stored of them; likewise."""
    deadline: timedelta
    """How long an answer may take, from the request's head on."""
    clock: Callable[[], datetime]
    """Returns the time, with its zone."""
    sources: AllowedSources | None = None
    """Where events are taken from; None: from anywhere."""
    _sparse_log: SparseLog = field(init=False)

    def __post_init__(self) -> None:
        """Let what anybody can cause be told by the same clock."""
        self._sparse_log = SparseLog(self.clock)

    async def answer(self, read_body: Callable[[], Awaitable[bytes]], signature: str | None, sender: Sender) -> Answer:
        """Answer one request, whatever it is, within the deadline.

        Args:
            read_body: reads the body; may raise `BodyRejectedError`.
            signature: the `Stripe-Signature` header.
            sender: where the request comes from.
        """
        with self.metrics.in_flight.track_inprogress():
            answer, seconds = await answer_request(
                partial(self._read, read_body, sender),
                partial(self._handle, signature),
                self._answer_error,
                deadline=self.deadline,
            )
        self.metrics.answered(answer.status, seconds)
        return answer

    def turned_away(self, status: HTTPStatus) -> None:
        """Tell of a request that the server itself answered."""
        is_overload = status is HTTPStatus.SERVICE_UNAVAILABLE
        reason = SenderRejectReason.OVERLOADED if is_overload else SenderRejectReason.INVALID_HTTP
        self.metrics.turned_away(reason)
        self._sparse_log.warning("webhook.turned_away", reason=reason, message=_TURNED_AWAY[reason])

    async def _read(self, read_body: Callable[[], Awaitable[bytes]], sender: Sender) -> bytes:
        if self.sources is not None:
            self.sources.check(sender)
        return await read_body()

    async def _handle(self, signature: str | None, body: bytes, started: float) -> Answer:
        now = self.clock()
        envelope = decode_envelope(verify(body, signature, self.secrets, now=now, tolerance=self.tolerance))
        if not _is_self_test(envelope.id):
            self.metrics.received(now.timestamp())
        event = parse_event(envelope)
        change = translate(event, self.rules, observed_at=now)
        if isinstance(change, Ignored):
            return self._ignore(event, change)
        return await self._record(event, change, started)

    def _count(self, event: Event, outcome: OperationResult | Ignored | NotRecordedReason) -> None:
        if not _is_self_test(event.id):
            self.metrics.handled(event, outcome)

    def _ignore(self, event: Event, reason: Ignored) -> Answer:
        self._count(event, reason)
        log = _log.debug if reason is Ignored.EVENT_TYPE else _log.info
        log("webhook.ignored", reason=reason, event_id=event.id, type=event.type, **event.subject)
        return Answer(HTTPStatus.OK, {"result": "ignored", "reason": reason})

    async def _record(self, event: Event, change: SpecChange, started: float) -> Answer:
        request = {} if isinstance(change, PaymentHint | ReversalHint) else {"request": change.name}
        log = _log.bind(event_id=event.id, type=event.type, **event.subject, **request)
        try:
            result = await self.store.record(change, deadline=started + self.deadline.total_seconds())
        except NotRecordedError as error:
            self._count(event, error.reason)
            write = log.error if error.reason is NotRecordedReason.BLOCKED else log.warning
            write("webhook.not_recorded", outcome=error.reason, message=str(error))
            detail = "the event is not recorded; the log of the service says why"
            return Answer.error(HTTPStatus.SERVICE_UNAVAILABLE, error.reason, detail)
        if isinstance(result, Ignored):
            return self._ignore(event, result)
        self._count(event, result)
        milliseconds = round((asyncio.get_running_loop().time() - started) * 1000, 1)
        log.info("webhook.recorded", outcome=result, milliseconds=milliseconds)
        return Answer(HTTPStatus.OK, {"result": result, **request})

    def _answer_error(self, error: Exception) -> Answer:
        match error:
            case SenderRejectedError():
                self.metrics.rejected(error.reason)
                self._sparse_log.warning("webhook.turned_away", reason=error.reason, message=str(error))
                return Answer.error(error.reason.status, error.reason, "events are taken from Stripe's addresses only")
            case EventRejectedError() | BodyRejectedError():
                self.metrics.rejected(error.reason)
                # What Stripe signed nobody else can cause.
                write = _log.warning if error.reason in OF_SIGNED_EVENTS else self._sparse_log.warning
                write("webhook.rejected", reason=error.reason, message=str(error))
                status = error.reason.status if isinstance(error, BodyRejectedError) else HTTPStatus.BAD_REQUEST
                return Answer.error(status, error.reason, str(error))
            case _:
                _log.exception("webhook.failed")
                detail = "the event is not recorded; the log of the service says more"
                return Answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _is_self_test(event_id: str | None) -> bool:
    """Tell whether we signed the event ourselves: what Stripe sends is told by what it sent alone."""
    return event_id is not None and event_id.startswith(_SELF_TEST)
