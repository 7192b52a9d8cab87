"""What happens to one callback: read, verify, look at the order, record, and only then acknowledge."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import structlog

from fulfillment_api.names import NAME_PATTERN
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import RequestChangedError, RequestGoneError
from fulfillment_runtime.settings import Secret
from fulfillment_service.callback_word import (
    CallbackError,
    CallbackOutcome,
    Word,
    is_shown,
    news_in,
    read_word,
    refusal_in,
)
from fulfillment_service.metrics import CallbackMetrics
from fulfillment_service.record import NotRecordedError, until_taken
from fulfillment_service.refusals import RefusedError
from fulfillment_service.webhook import Answer

_log = structlog.get_logger(__name__)

_BETWEEN_SHOWN = timedelta(seconds=1)
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Callbacks:
    """Answers the http backend's endpoint, which took orders with 202 and says what became of them."""

    requests: KubernetesApi
    metrics: CallbackMetrics
    secret: Secret | None
    """The Standard Webhooks secret; None when no callbacks are taken. Another may take its place at any time."""
    tolerance: timedelta
    """How far a signature's time may be from the clock."""
    deadline: timedelta
    """How long an answer may take, from the request's head on."""
    turns: asyncio.Semaphore
    """As many as there are connections to the API server."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone."""
    random: Callable[[], float]
    """Draws from [0, 1)."""
    _shows_again_at: datetime = field(default=_EVER, init=False)

    async def answer(
        self, read_body: Callable[[], Awaitable[bytes]], name: str, headers: Mapping[str, str], secret: Secret
    ) -> Answer:
        """Answer one callback, whatever it is, within the deadline.

        Args:
            read_body: reads the body; may raise `RefusedError`.
            name: the request's name in the path.
            headers: the request's headers, by their names in lower case.
            secret: the Standard Webhooks secret.
        """
        time = asyncio.get_running_loop().time
        started = time()
        try:
            outcome = await self._handle(read_body, name, headers, secret, started)
        except CallbackError as error:
            outcome = error.outcome
            complain = _log.error if outcome is CallbackOutcome.BLOCKED else _log.warning
            complain("callback.not_recorded", outcome=outcome, message=str(error))
            detail = str(error)
            if outcome.status is HTTPStatus.SERVICE_UNAVAILABLE:
                detail = "the callback is not recorded: send it again; the log of the service says why"
            answer = Answer(outcome.status, {"error": outcome, "detail": detail})
        except Exception:  # noqa: BLE001 - it is logged, and the sender is owed an answer
            _log.exception("callback.failed")
            outcome = CallbackOutcome.INTERNAL
            detail = "the callback is not recorded; the log of the service says more"
            answer = Answer(outcome.status, {"error": outcome, "detail": detail})
        else:
            answer = Answer(outcome.status, {"result": outcome, "request": name})
        self.metrics.answered(outcome, time() - started)
        return answer

    async def _handle(
        self,
        read_body: Callable[[], Awaitable[bytes]],
        name: str,
        headers: Mapping[str, str],
        secret: Secret,
        started: float,
    ) -> CallbackOutcome:
        deadline = started + self.deadline.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                body = await read_body()
        except TimeoutError:
            raise CallbackError(CallbackOutcome.TOO_SLOW, "the body did not arrive in time") from None
        except RefusedError as error:
            raise CallbackError(CallbackOutcome(error.reason.value), str(error)) from error
        try:
            word = read_word(body, name, headers, secret, now=self.clock(), tolerance=self.tolerance)
        except CallbackError as error:
            await self._show(name, error, deadline)
            raise
        try:
            outcome = await until_taken(
                lambda: self._record(name, word), turns=self.turns, deadline=deadline, random=self.random
            )
        except NotRecordedError as error:
            raise CallbackError(CallbackOutcome(error.trouble.value), str(error)) from error
        _log.info("callback.recorded", outcome=outcome, request=name, result=word.result)
        return outcome

    async def _show(self, name: str, error: CallbackError, deadline: float) -> None:
        """Let the order show that a callback about it was refused, if there is room: nobody is owed that.

        Anybody can send such callbacks, so all of them together may ask the API server about one name a second.
        """
        now = self.clock()
        if not (is_shown(error.outcome) and re.fullmatch(NAME_PATTERN, name) and now >= self._shows_again_at):
            return
        self._shows_again_at = now + _BETWEEN_SHOWN
        try:
            await until_taken(
                lambda: self._show_once(name, error), turns=self.turns, deadline=deadline, random=self.random
            )
        except NotRecordedError as trouble:
            _log.warning("callback.refusal_not_shown", message=str(trouble))

    async def _show_once(self, name: str, error: CallbackError) -> None:
        try:
            found = await self.requests.get(name)
            refusal = refusal_in(error, found, self.clock())
            if refusal is not None:
                await self.requests.update(found, refusal)
        except (RequestGoneError, RequestChangedError):
            return  # there is no such order, or there is better news of it

    async def _record(self, name: str, word: Word) -> CallbackOutcome:
        while True:
            try:
                found = await self.requests.get(name)
            except RequestGoneError:
                raise CallbackError(CallbackOutcome.UNKNOWN_ORDER, "there is no such order") from None
            callback = news_in(word, found, self.clock())
            if callback is None:
                return CallbackOutcome.UNCHANGED
            try:
                await self.requests.update(found, callback)
            except (RequestGoneError, RequestChangedError):
                continue  # someone was quicker: look again
            return CallbackOutcome.RECORDED
