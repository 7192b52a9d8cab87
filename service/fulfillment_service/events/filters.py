"""Which events count. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fulfillment_service.events.event import CheckoutEvent, OrderEvent
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which events count."""

    livemode: bool | None = None
    """None: both modes."""
    accounts: Collection[str] | None = None
    """The connected accounts; None: all. The platform's own events always count."""
    payment_links: Collection[str] | None = None
    """The payment links; None: all, and Sessions without one."""
    metadata: Mapping[str, str] | None = None
    """What a Session's metadata must hold, all of it; None: anything."""
    retention: timedelta | None = None
    """How long finished orders are kept; None: for ever."""

    def reason_to_ignore(self, event: OrderEvent, *, now: datetime) -> Ignored | None:
        """Return why an event does not count; None when it does.

        An expiry or a reversal shows neither payment link nor metadata: its order passed these filters before.

        Args:
            event: the event; one that does not say when it happened is taken for new.
            now: the time, with its zone.

        Raises:
            EventRejectedError: it does not show what the filters ask about. Were it ignored, an order would be lost.
        """
        if self.livemode not in (None, event.livemode):
            return Ignored.LIVEMODE
        if self.accounts is not None and event.account is not None and event.account not in self.accounts:
            return Ignored.ACCOUNT
        if self.retention is not None and (event.created_at or now) < now - self.retention:
            return Ignored.OLDER_THAN_RETENTION
        return self._reason_in_session(event) if isinstance(event, CheckoutEvent) else None

    def _reason_in_session(self, event: CheckoutEvent) -> Ignored | None:
        if event.is_thin and (self.payment_links is not None or self.metadata is not None):
            raise EventRejectedError(
                EventRejectReason.UNFILTERABLE,
                "a thin event does not show the payment link and metadata that STRIPE_PAYMENT_LINKS and "
                "STRIPE_METADATA ask for: let the event destination send snapshot events, or unset both",
            )
        if self.payment_links is not None and event.session.payment_link not in self.payment_links:
            return Ignored.PAYMENT_LINK
        if self.metadata is not None and not self.metadata.items() <= event.session.metadata.items():
            return Ignored.METADATA
        return None
