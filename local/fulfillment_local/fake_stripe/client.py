"""Speaks with a stand-in that runs in another process, or in this one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec

from fulfillment_local.fake_stripe.control import (
    LeavePage,
    PlayAfterPayment,
    Played,
    PlayOrders,
    SentEvent,
    SettlePayment,
)
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Fault, Traffic
from fulfillment_runtime.fatal_errors import UnavailableError

T = TypeVar("T")

TIMEOUT = aiohttp.ClientTimeout(total=60)


class WorldRejectedError(Exception):
    """The stand-in understood, and says why it cannot be done."""


class WorldClient:
    """The control surface of a stand-in.

    Every method raises `UnavailableError` when there is no stand-in at the URL, and `WorldRejectedError` with
    the stand-in's own words when it refuses.

    Args:
        url: the stand-in's base URL, such as `http://localhost:4243`.
        http: the connection to use.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._http = http

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator["WorldClient"]:
        """Use a connection of its own."""
        async with aiohttp.ClientSession() as http:
            yield cls(url, http)

    async def play(self, order: Order, *, count: int = 1) -> list[Played]:
        """Open Sessions, and let each buyer do what the order says."""
        return await self._ask("POST", "orders", list[Played], PlayOrders(order=order, count=count))

    async def leave_page(self, session_id: str, outcome: Outcome) -> SentEvent:
        """Let the buyer of an open Session complete it, or the Session expire."""
        return await self._ask("POST", f"sessions/{session_id}/outcome", SentEvent, LeavePage(outcome=outcome))

    async def settle(self, session_id: str, settlement: Settlement) -> SentEvent | None:
        """End a delayed payment; return the event that Checkout sends, if it does."""
        asked = SettlePayment(settlement=settlement)
        return (await self._ask("POST", f"sessions/{session_id}/payment", Played, asked)).event

    async def play_after_payment(self, session_id: str, after: AfterPayment) -> SentEvent:
        """Let a paid order be refunded or disputed, or let that go on."""
        return await self._ask("POST", f"sessions/{session_id}/after", SentEvent, PlayAfterPayment(after=after))

    async def events(self, *, session_id: str | None = None) -> list[SentEvent]:
        """List the events of all Sessions, or of one, oldest first."""
        query = "" if session_id is None else f"?session={session_id}"
        return await self._ask("GET", f"events{query}", list[SentEvent])

    async def mark(self, deliveries: Mapping[str, DeliveryState]) -> None:
        """Note what became of events: event id → state."""
        await self._ask("POST", "deliveries", type(None), deliveries)

    async def set_faults(self, *faults: Fault) -> None:
        """Replace all faults; without any, the trouble ends."""
        await self._ask("PUT", "faults", type(None), faults)

    async def traffic(self) -> Traffic:
        """Return the requests that came to the API."""
        return await self._ask("GET", "requests", Traffic)

    async def clear_traffic(self) -> None:
        """Forget the requests."""
        await self._ask("DELETE", "requests", type(None))

    async def _ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: msgspec.Struct | Mapping[str, str] | Sequence[msgspec.Struct] | None = None,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._http.request(method, f"{self._url}/_world/{path}", data=data, timeout=TIMEOUT) as response:
                status, content = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(
                f"the stand-in for Stripe cannot be reached at {self._url} ({_reason(error)}): start it "
                "with `make demo`, or name another"
            ) from error
        try:
            if status == HTTPStatus.OK:
                return msgspec.json.decode(content, type=answer)
            message = msgspec.json.decode(content, type=dict[str, str])["message"]
        except (msgspec.DecodeError, KeyError) as error:
            raise UnavailableError(
                f"{self._url} answers {status}, but not as the stand-in for Stripe does: name the stand-in's URL"
            ) from error
        raise WorldRejectedError(message)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
