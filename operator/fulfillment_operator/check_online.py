"""What `fulfillment check-config --online` asks for the operator: the mail server, the API server, and Stripe."""

from collections.abc import AsyncIterator, Mapping

import stripe

from fulfillment_operator.backends.interface import Checkable
from fulfillment_operator.factory import open_backends, open_stripe_api
from fulfillment_operator.mail.smtp import Mailer
from fulfillment_operator.rbac import rules_of
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.upkeep.webhook_endpoint_check import EndpointsUnreadableError, list_endpoints
from fulfillment_operator.upkeep.webhook_endpoints import find_problems
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.commands.check_config import check_cluster
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.findings import Check, Finding, Verdict, findings
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.stripe.client import StripeError, stripe_client

_MEND_MAIL = with_chart_values(
    "see FULFILLMENT_SMTP_HOST, _PORT and _TLS, and whether a NetworkPolicy lets the pod reach it"
)
_UNKNOWN_SESSION = "cs_{}_checkconfig"


async def online_checks(
    settings: OperatorSettings, environ: Mapping[str, str], mailer: Mailer | None
) -> AsyncIterator[Finding]:
    """Check what the operator may do, the backends at work, and that all answers.

    Args:
        settings: what the operator is told.
        environ: environment variables, such as `os.environ`, for the backends' settings.
        mailer: what mails customers; None: nobody is mailed.
    """
    if mailer is not None:
        error = await mailer.check_connection()
        if error is not None and "FULFILLMENT_" not in error:  # it does not say yet what to mend
            error = f"{error}: {_MEND_MAIL}"
        for finding in findings(
            Check.MAIL, "the mail server takes the connection, and the login", filter(None, [error])
        ):
            yield finding
    access = await check_cluster(settings, rules_of(settings))
    yield access
    if access.verdict is Verdict.OK:
        for finding in await _backends(settings, environ):
            yield finding
    async for finding in _stripe(settings):
        yield finding


async def _backends(settings: OperatorSettings, environ: Mapping[str, str]) -> list[Finding]:
    """Make every backend that an order may go to, as the operator does at its start, and see whether it could."""
    try:
        async with (
            connect(settings.kubeconfig, connections=1) as api,
            open_backends(settings, environ, api) as backends,
        ):
            ready = f"the backends are ready: {', '.join(sorted(backends)) or 'none'}"
            checked = [await each.check() for each in backends.values() if isinstance(each, Checkable)]
            return [Finding(Verdict.OK, Check.BACKENDS, ready), *checked]
    except (AccessDeniedError, SettingsError, UnavailableError) as error:
        return [Finding(Verdict.FAILURE, Check.BACKENDS, error.message)]


async def _stripe(settings: OperatorSettings) -> AsyncIterator[Finding]:
    mode = "live" if settings.key_is_live else "test"
    try:
        async with open_stripe_api(settings) as api:
            await api.retrieve(_UNKNOWN_SESSION.format(mode), None)
            await api.check_disputes()
    except StripeError as error:
        yield Finding(Verdict.FAILURE, Check.API_KEY, str(error), settings.key_is_live)
        return
    yield Finding(
        Verdict.OK,
        Check.API_KEY,
        f"Stripe knows the API key, in {mode} mode, and lets it read Checkout Sessions and Disputes",
        settings.key_is_live,
    )
    try:
        async with stripe_client(settings) as client:
            found = find_problems(
                await list_endpoints(client), livemode=settings.key_is_live, api_version=stripe.api_version
            )
    except (EndpointsUnreadableError, StripeError) as error:
        yield Finding(Verdict.UNKNOWN, Check.ENDPOINT, f"the registered webhook endpoints are not checked: {error}")
        return
    for each in found:
        yield Finding(Verdict.WARNING, Check.ENDPOINT, each.message)
    if not found:
        yield Finding(Verdict.OK, Check.ENDPOINT, "a webhook endpoint is registered at Stripe, and is sent every event")
