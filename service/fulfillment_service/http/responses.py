"""How a request is answered: within the deadline, and whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from fulfillment_service.http.request_body import BodyRejectedError, BodyRejectReason


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: a status that the sender acts on, and a small JSON body, which Stripe's Dashboard shows."""

    status: HTTPStatus
    body: dict[str, str]

    @classmethod
    def error(cls, status: HTTPStatus, reason: str, detail: str) -> "Answer":
        """Answer with an error code for programs, and a sentence for a person."""
        return cls(status, {"error": reason, "detail": detail})


async def answer_request(
    read_body: Callable[[], Awaitable[bytes]],
    handle: Callable[[bytes, float], Awaitable[Answer]],
    answer_error: Callable[[Exception], Answer],
    *,
    deadline: timedelta,
) -> tuple[Answer, float]:
    """Answer one request.

    Args:
        read_body: reads the body; may raise `BodyRejectedError`.
        handle: handles the body; its second argument is when the request came, in the event loop's time.
        answer_error: answers what either of them raised. It is called while that is handled, so it can log the
            traceback.
        deadline: how long the answer may take.

    Returns:
        The answer, and how many seconds it took.
    """
    time = asyncio.get_running_loop().time
    started = time()
    try:
        try:
            async with asyncio.timeout_at(started + deadline.total_seconds()):
                body = await read_body()
        except TimeoutError:
            raise BodyRejectedError(BodyRejectReason.TOO_SLOW, "the body did not arrive in time") from None
        answer = await handle(body, started)
    except Exception as error:  # noqa: BLE001 - the sender is owed an answer
        answer = answer_error(error)
    return answer, time() - started
