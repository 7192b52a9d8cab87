"""What `fulfillment check-config` checks of the webhook service, and of the recovery."""

from collections.abc import AsyncIterator, Mapping

from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.commands.check_config import check_cluster, check_kubeconfig
from fulfillment_runtime.findings import Check, Finding, Verdict, findings
from fulfillment_runtime.settings import load_settings, mistakes_in
from fulfillment_service.rbac import SERVICE_RULES, recovery_rules
from fulfillment_service.settings import RecoverSettings, ServiceSettings, load_with_events, mistakes_with_events


async def service_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings; online, what the service may do; in its pod, what Stripe sent it."""
    mistakes = mistakes_in(ServiceSettings, environ)
    for finding in findings(Check.SETTINGS, "the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings = load_settings(ServiceSettings, environ)
    for finding in check_kubeconfig(settings):
        yield finding
    if settings.livemode is None:
        yield Finding(
            Verdict.OK,
            Check.SETTINGS,
            with_chart_values("STRIPE_LIVEMODE is not set: test events and live events both count"),
        )
    if online:
        from fulfillment_service.check_online import check_last_event  # noqa: PLC0415 - loads a client library

        yield await check_cluster(settings, SERVICE_RULES)
        for finding in await check_last_event(settings):
            yield finding


async def recovery_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings: which events count, and how Stripe is asked for them.

    Online, also what a recovery may do, and whether Stripe lists events for it.
    """
    mistakes = mistakes_with_events(RecoverSettings, environ)
    for finding in findings(Check.SETTINGS, "the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings, events = load_with_events(RecoverSettings, environ)
    for finding in check_kubeconfig(settings):
        yield finding
    if online:
        from fulfillment_service.recovery.check_online import check_events  # noqa: PLC0415 - loads Stripe's library

        yield await check_cluster(settings, recovery_rules(settings))
        for finding in await check_events(settings, events):
            yield finding
