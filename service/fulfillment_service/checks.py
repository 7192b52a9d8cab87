"""What `fulfillment check-config` checks of the webhook service, and of the recovery."""

from collections.abc import AsyncIterator, Mapping

from fulfillment_runtime.check_config import Finding, Verdict, check_cluster, findings
from fulfillment_runtime.settings import load_settings, mistakes_in
from fulfillment_service.main import RULES
from fulfillment_service.settings import EventSettings, RecoverSettings, ServiceSettings


async def service_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings; online, what the service may do."""
    mistakes = mistakes_in(ServiceSettings, environ)
    for finding in findings("the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings = load_settings(ServiceSettings, environ)
    if settings.livemode is None:
        yield Finding(Verdict.NOTE, "STRIPE_LIVEMODE is not set: test events and live events both count")
    if online:
        yield await check_cluster(settings, RULES)


async def recovery_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:  # noqa: ARG001 - as `Checks` has it
    """Check the settings: which events count, and how Stripe is asked for them."""
    mistakes = {
        **dict.fromkeys(mistakes_in(RecoverSettings, environ)),
        **dict.fromkeys(mistakes_in(EventSettings, environ)),
    }
    for finding in findings("the settings are right", mistakes):
        yield finding
