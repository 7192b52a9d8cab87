"""Lists events at Stripe, and turns its failures into ours. The webhook never calls Stripe."""

from dataclasses import dataclass, replace

import msgspec
import stripe
import structlog

from fulfillment_api.event_types import StripeEventType
from fulfillment_runtime.backoff import Backoff, retry
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError, translate_error
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.refusals import error_code
from fulfillment_service.events.envelope import Envelope, decode_envelope
from fulfillment_service.events.rejections import EventRejectedError
from fulfillment_service.recovery.time_window import Window

_log = structlog.get_logger(__name__)

EVENTS = "/v1/events"
_EVENT = "/v1/events/{id}"
PAGE = 100
"""The most events that Stripe lists at once."""

_TYPES: list[str] = [each for each in StripeEventType if each is not StripeEventType.PAYMENT_SUCCEEDED]
"""What is listed: an account has such an event of every payment, and of one that was captured another tells, too."""

_UNEXPECTED = "Stripe's answer has an unexpected form"
_NO_SUCH_EVENT = "resource_missing"

_RIGHT = "to read Events{of}: give the restricted key this read permission{or_else}"
_NOT_CONNECTED = with_chart_values(", or take the account out of STRIPE_ACCOUNTS if it is connected no more")
_KEYS_OWN = with_chart_values(
    "STRIPE_ACCOUNTS names {}, which is the API key's own account: take it out, its events count in any case. As those "
    "of a connected account, its orders would be made, and fulfilled, a second time"
)


Listed = Envelope | EventRejectedError
"""An event; or why what is listed in its place is none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first."""

    events: tuple[Listed, ...]
    has_more: bool
    """Whether there are older ones in the same stretch of time."""

    @property
    def last_id(self) -> str | None:
        """The id of the last event, after which the next page begins; None when the last is none."""
        last = self.events[-1] if self.events else None
        return last.id if isinstance(last, Envelope) else None


class StripeEvents:
    """Lists the events of one account, within Stripe's limits; one request at a time."""

    def __init__(
        self,
        reader: StripeReader,
        account: str | None,
        *,
        undelivered: bool,
        backoff: Backoff,
    ) -> None:
        """Make a list.

        Args:
            reader: asks Stripe.
            account: the connected account, acct_…; None for the key's own.
            undelivered: whether only those are listed that Stripe could not deliver, or not yet.
            backoff: how often one request is tried, and how long is waited between.
        """
        self._reader = reader
        self._account = account
        self._undelivered = undelivered
        self._backoff = backoff
        self._is_checked = account is None
        of, or_else = (f" of {account}", _NOT_CONNECTED) if account else ("", "")
        self._right = _RIGHT.format(of=of, or_else=or_else)

    async def page(self, window: Window, after: str | None = None) -> Page:
        """List the newest events of a stretch of time; a passing fault is tried again.

        Args:
            window: when they were created.
            after: the id of an event: only older ones are listed.

        Raises:
            StripeUnavailableError: a fault that did not pass.
            StripeMisconfiguredError: the API key is wrong or lacks a permission, or the account is its own.
        """
        return await retry(
            lambda: self._list(window, after),
            on=StripeUnavailableError,
            backoff=self._backoff,
            retry_after=lambda error: error.after,
            scheduled=lambda error, delay: _log.warning(
                "recovery.stripe_unavailable", message=str(error), again_after=delay.total_seconds()
            ),
        )

    async def _list(self, window: Window, after: str | None) -> Page:
        params: dict[str, object] = {
            "types": _TYPES,
            "created": {"gte": window.start, "lt": window.end},
            "limit": PAGE,
        }
        if self._undelivered:
            params["delivery_success"] = False
        if after is not None:
            params["starting_after"] = after
        try:
            # The answer's own body: a webhook's has the same form, and the same code reads it.
            body = (await self._reader.get(EVENTS, params, account=self._account)).body
        except stripe.StripeError as error:
            raise translate_error(error, right=self._right, account=self._account) from error
        try:
            found = msgspec.json.decode(body, type=_List)
        except (msgspec.DecodeError, RecursionError) as error:
            raise StripeUnavailableError(f"{_UNEXPECTED}: {error}") from error
        page = Page(tuple(self._event(raw) for raw in found.data), found.has_more)
        if page.has_more and page.last_id is None:
            raise StripeUnavailableError(f"{_UNEXPECTED}: a page that ends with no event")
        known = next((each for each in page.events if isinstance(each, Envelope)), None)
        if known and not self._is_checked:
            await self._check_connected(known)
            self._is_checked = True
        return page

    async def _check_connected(self, event: Envelope) -> None:
        """Make sure that the account is not the key's own: that one has the event under its own name, too."""
        try:
            await self._reader.get(_EVENT, {}, account=None, object_id=event.id or "")
        except stripe.StripeError as error:
            if error_code(error) == _NO_SUCH_EVENT:
                return
            raise translate_error(error, right=_RIGHT.format(of="", or_else="")) from error
        raise StripeMisconfiguredError(_KEYS_OWN.format(self._account))

    def _event(self, raw: msgspec.Raw) -> Listed:
        """Decode an event. What Stripe lists for an account does not always name it, as a webhook's body does."""
        try:
            event = decode_envelope(bytes(raw).decode())
        except EventRejectedError as error:
            return error
        if event.id is None:
            raise StripeUnavailableError(f"{_UNEXPECTED}: an event without an id")
        return event if event.account is not None else replace(event, account=self._account)


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool
