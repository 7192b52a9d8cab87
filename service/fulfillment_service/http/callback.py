"""What happens to one callback: verify, parse, read the order, record, and only then acknowledge."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

import structlog

from fulfillment_api.names import NAME_PATTERN
from fulfillment_runtime.kubernetes.errors import ConflictError, NotFoundError
from fulfillment_runtime.settings import Secret
from fulfillment_service.http.callback_payload import (
    CallbackPayload,
    CallbackRejectedError,
    CallbackRejectReason,
    new_callback,
    new_rejection,
    parse_callback,
)
from fulfillment_service.http.metrics import CallbackMetrics, CallbackOutcome
from fulfillment_service.http.request_body import BodyRejectedError, BodyRejectReason
from fulfillment_service.http.responses import Answer, answer_request
from fulfillment_service.http.sparse_log import SparseLog
from fulfillment_service.request_store import NotRecordedError, NotRecordedReason, RequestStore

_log = structlog.get_logger(__name__)

_REJECTIONS_EVERY = timedelta(seconds=1)
"""Anybody can send callbacks that are rejected, so all of them together may ask the API server so often."""
_OF_ANYBODY = (CallbackRejectReason.NO_SIGNATURE, CallbackRejectReason.WRONG_SIGNATURE, *BodyRejectReason)
"""What is wrong with a callback that our secret did not sign."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Callbacks:
    """Answers the http backend's endpoint, which took orders with 202 and calls back with their results."""

    store: RequestStore
    metrics: CallbackMetrics
    secret: Secret | None
    """The Standard Webhooks secret; None when no callbacks are taken. Another may take its place at any time."""
    tolerance: timedelta
    """How far a signature's time may be from the clock."""
    deadline: timedelta
    """How long an answer may take, from the request's head on."""
    clock: Callable[[], datetime]
    """Returns the time, with its zone."""
    _last_rejection_at: datetime = field(default=_NEVER, init=False)
    _sparse_log: SparseLog = field(init=False)

    def __post_init__(self) -> None:
        """Let what anybody can cause be told by the same clock."""
        self._sparse_log = SparseLog(self.clock)

    async def answer(
        self, read_body: Callable[[], Awaitable[bytes]], name: str, headers: Mapping[str, str], secret: Secret
    ) -> Answer:
        """Answer one callback, whatever it is, within the deadline.

        Args:
            read_body: reads the body; may raise `BodyRejectedError`.
            name: the request's name in the path.
            headers: the request's headers, by their names in lower case.
            secret: the Standard Webhooks secret.
        """
        answer, seconds = await answer_request(
            read_body, partial(self._handle, name, headers, secret), self._answer_error, deadline=self.deadline
        )
        self.metrics.answered(seconds)
        return answer

    async def _handle(
        self, name: str, headers: Mapping[str, str], secret: Secret, body: bytes, started: float
    ) -> Answer:
        deadline = started + self.deadline.total_seconds()
        try:
            payload = parse_callback(body, name, headers, secret, now=self.clock(), tolerance=self.tolerance)
        except CallbackRejectedError as error:
            await self._show_rejection(name, error, deadline)
            raise
        outcome = await self.store.retry(lambda: self._record(name, payload), deadline=deadline)
        self.metrics.handled(outcome)
        _log.info("callback.recorded", outcome=outcome, request=name, result=payload.result)
        return Answer(HTTPStatus.OK, {"result": outcome, "request": name})

    def _answer_error(self, error: Exception) -> Answer:
        match error:
            case CallbackRejectedError() | BodyRejectedError():
                self.metrics.handled(error.reason)
                write = self._sparse_log.warning if error.reason in _OF_ANYBODY else _log.warning
                write("callback.rejected", reason=error.reason, message=str(error))
                return Answer.error(error.reason.status, error.reason, str(error))
            case NotRecordedError():
                self.metrics.handled(error.reason)
                write = _log.error if error.reason is NotRecordedReason.BLOCKED else _log.warning
                write("callback.not_recorded", outcome=error.reason, message=str(error))
                detail = "the callback is not recorded: send it again; the log of the service says why"
                return Answer.error(HTTPStatus.SERVICE_UNAVAILABLE, error.reason, detail)
            case _:
                self.metrics.handled(CallbackOutcome.INTERNAL)
                _log.exception("callback.failed")
                detail = "the callback is not recorded; the log of the service says more"
                return Answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, CallbackOutcome.INTERNAL, detail)

    async def _show_rejection(self, name: str, error: CallbackRejectedError, deadline: float) -> None:
        """Let the order show that a callback about it was rejected, if there is room: nobody is owed that."""
        now = self.clock()
        # A clock that was set back keeps nothing back.
        is_soon = timedelta() <= now - self._last_rejection_at < _REJECTIONS_EVERY
        if is_soon or not re.fullmatch(NAME_PATTERN, name):
            return
        self._last_rejection_at = now
        try:
            await self.store.retry(lambda: self._record_rejection(name, error), deadline=deadline)
        except NotRecordedError as not_recorded:
            _log.warning("callback.rejection_not_recorded", message=str(not_recorded))

    async def _record_rejection(self, name: str, error: CallbackRejectedError) -> None:
        requests = self.store.requests
        try:
            found = await requests.get(name)
            rejection = new_rejection(error, found, self.clock())
            if rejection is not None:
                await requests.patch_spec(found, rejection)
        except (NotFoundError, ConflictError):
            return  # there is no such order, or something newer is known of it

    async def _record(self, name: str, payload: CallbackPayload) -> CallbackOutcome:
        requests = self.store.requests
        try:
            found = await requests.get(name)
        except NotFoundError:
            raise CallbackRejectedError(CallbackRejectReason.UNKNOWN_ORDER, "there is no such order") from None
        callback = new_callback(payload, found, self.clock())
        if callback is None:
            return CallbackOutcome.UNCHANGED
        await requests.patch_spec(found, callback)
        return CallbackOutcome.RECORDED
