"""What `fulfillment check-config --online` asks Stripe for a recovery."""

import random
import time
from datetime import timedelta

from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.findings import Check, Finding, findings
from fulfillment_runtime.stripe.client import StripeError, stripe_client, stripe_reader
from fulfillment_service.recovery.event_list import StripeEvents
from fulfillment_service.recovery.time_window import GREATEST_LOOK_BACK, Window
from fulfillment_service.settings import EventSettings, RecoverSettings

_LOOK_BACK = int(GREATEST_LOOK_BACK.total_seconds())
_ONCE = Backoff(timedelta(0), timedelta(0), random.random, attempts=1)


async def check_events(settings: RecoverSettings, events: EventSettings) -> list[Finding]:
    """Ask Stripe for the latest events of each account whose events count."""
    now = int(time.time())
    mistakes = []
    async with stripe_client(settings) as client:
        reader = stripe_reader(client, settings)
        for account in (None, *(events.accounts or ())):
            listing = StripeEvents(reader, account, undelivered=False, backoff=_ONCE)
            try:
                await listing.page(Window(now - _LOOK_BACK, now + 1))
            except StripeError as error:
                mistakes.append(str(error))
                if account is None:  # it is the key, then
                    break
    return findings(Check.API_KEY, "Stripe lets the API key read Events", mistakes)
