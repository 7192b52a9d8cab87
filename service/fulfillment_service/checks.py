"""What `fulfillment check-config` checks of the webhook service, and of the recovery."""

import time
from collections.abc import AsyncIterator, Mapping

from fulfillment_runtime.check_config import Finding, Verdict, check_cluster, check_kubeconfig, findings
from fulfillment_runtime.settings import load_settings, mistakes_in
from fulfillment_runtime.stripe_connection import StripeError, stripe_client
from fulfillment_service.main import RULES
from fulfillment_service.recover import rules_of
from fulfillment_service.settings import EventSettings, RecoverSettings, ServiceSettings, mode_mistake
from fulfillment_service.stripe_events import StripeEvents
from fulfillment_service.time_window import Window


async def service_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings; online, what the service may do."""
    mistakes = mistakes_in(ServiceSettings, environ)
    for finding in findings("the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings = load_settings(ServiceSettings, environ)
    for finding in check_kubeconfig(settings):
        yield finding
    if settings.livemode is None:
        yield Finding(Verdict.NOTE, "STRIPE_LIVEMODE is not set: test events and live events both count")
    if online:
        yield await check_cluster(settings, RULES)


async def recovery_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings: which events count, and how Stripe is asked for them.

    Online, also what a recovery may do, and whether Stripe lists events for it.
    """
    mistakes = {
        **dict.fromkeys(mistakes_in(RecoverSettings, environ)),
        **dict.fromkeys(mistakes_in(EventSettings, environ)),
    }
    if mistakes:
        for finding in findings("", mistakes):
            yield finding
        return
    settings, events = load_settings(RecoverSettings, environ), load_settings(EventSettings, environ)
    mistake = mode_mistake(settings, events)
    for finding in findings("the settings are right", [mistake] if mistake else []):
        yield finding
    for finding in check_kubeconfig(settings):
        yield finding
    if online:
        yield await check_cluster(settings, rules_of(settings))
        for finding in await _events(settings, events):
            yield finding


async def _events(settings: RecoverSettings, events: EventSettings) -> list[Finding]:
    """Ask Stripe for the events of the last second, of each account whose events count."""
    now = int(time.time())
    mistakes = []
    async with stripe_client(settings) as client:
        for account in (None, *(events.accounts or ())):
            listing = StripeEvents(
                client, account, undelivered=True, per_second=settings.stripe_requests_per_second, pauses=()
            )
            try:
                await listing.page(Window(now - 1, now))
            except StripeError as error:
                mistakes.append(str(error))
                if account is None:  # it is the key, then
                    break
    return findings("Stripe lets the API key read Events", mistakes)
