"""The one place of this room that meets Stripe's API: the list of events. The webhook's path never comes here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import stripe
import structlog

from fulfillment_runtime.stripe_connection import StripeUnavailableError, rate_limiter, translate_error
from fulfillment_service.event import Event, decode_event
from fulfillment_service.time_window import Window
from fulfillment_service.translate import EventType

if TYPE_CHECKING:
    from stripe.params._event_list_params import EventListParams

_log = structlog.get_logger(__name__)

PAGE = 100
"""The most events that Stripe lists at once."""

_RIGHT = "to read Events{of}: give the restricted key this read permission{or_else}"
_NOT_CONNECTED = ", or take the account out of STRIPE_ACCOUNTS if it is connected no more"
_LONGEST_PAUSE = 60.0  # seconds, whatever Stripe asks for
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between the tries of one request."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first."""

    events: tuple[Event, ...]
    has_more: bool
    """Whether there are older ones in the same stretch of time."""


class StripeEvents:
    """Lists the events of one account, within a bounded rate; one request at a time."""

    def __init__(
        self,
        client: stripe.StripeClient,
        account: str | None,
        *,
        undelivered: bool,
        per_second: float,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Make a list.

        Args:
            client: as whom.
            account: the connected account, acct_…; None for the key's own.
            undelivered: whether only those are listed that Stripe could not deliver, or not yet.
            per_second: the most requests in a second.
            pauses: seconds between the tries of one request.
        """
        self._events = client.v1.events
        self._account = account
        self._undelivered = undelivered
        self._rate = rate_limiter(per_second)
        self._pauses = pauses
        of, or_else = (f" of {account}", _NOT_CONNECTED) if account else ("", "")
        self._right = _RIGHT.format(of=of, or_else=or_else)

    async def page(self, window: Window, after: str | None = None) -> Page:
        """List the newest events of a stretch of time; a passing fault is tried again.

        Args:
            window: when they were created.
            after: the id of an event: only older ones are listed.

        Raises:
            StripeUnavailableError: a fault that did not pass.
            StripeMisconfiguredError: the API key is wrong or lacks a permission.
        """
        for pause in self._pauses:
            try:
                return await self._list(window, after)
            except StripeUnavailableError as error:
                asked = error.after.total_seconds() if error.after else 0.0
                seconds = min(max(pause, asked), _LONGEST_PAUSE)
                _log.warning("recovery.stripe_unavailable", message=str(error), again_in_seconds=seconds)
                await asyncio.sleep(seconds)
        return await self._list(window, after)

    async def _list(self, window: Window, after: str | None) -> Page:
        params: EventListParams = {
            "types": list(EventType),
            "created": {"gte": window.start, "lt": window.end},
            "limit": PAGE,
        }
        if self._undelivered:
            params["delivery_success"] = False
        if after is not None:
            params["starting_after"] = after
        options: stripe.RequestOptions = {"stripe_account": self._account} if self._account else {}
        try:
            async with self._rate:
                listed = await self._events.list_async(params, options)
        except stripe.StripeError as error:
            raise translate_error(error, right=self._right) from error
        # The answer's own text: a webhook's body has the same form, and the same code reads it.
        text = listed.last_response.body if listed.last_response else ""
        try:
            found = msgspec.json.decode(text, type=_List)
        except msgspec.DecodeError as error:
            raise StripeUnavailableError(f"Stripe's answer has an unexpected form: {error}") from error
        return Page(tuple(self._event(raw) for raw in found.data), found.has_more)

    def _event(self, raw: msgspec.Raw) -> Event:
        """Decode an event. What Stripe lists for an account does not always name it, as a webhook's body does."""
        event = decode_event(bytes(raw).decode())
        return event if event.account else msgspec.structs.replace(event, account=self._account)


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool
