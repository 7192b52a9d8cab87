"""What `fulfillment check-config` checks of the operator."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import entry_points

import aiohttp
import stripe
from kubernetes.aio import client

from fulfillment_operator.backends.interface import BackendContext
from fulfillment_operator.endpoint_check import EndpointsUnreadableError, registered
from fulfillment_operator.endpoints import judge
from fulfillment_operator.from_settings import backends_of, loaded, mail_of, stripe_api, whole_seconds
from fulfillment_operator.mail import Mailer
from fulfillment_operator.routes import label
from fulfillment_operator.rules import rules_of
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.check_config import Finding, Verdict, check_cluster, check_kubeconfig, findings
from fulfillment_runtime.exits import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.settings import GROUP, load_settings, mistakes_in
from fulfillment_runtime.stripe_connection import StripeError, stripe_client

_NEED_NO_CLUSTER = {"http", "log", "manual"}
_UNKNOWN_SESSION = "cs_{}_checkconfig"


async def operator_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings, with the routes and the Job's template, the mail templates, and the backends.

    Online, also what the operator may do, the backends at work, the mail server, and Stripe.
    """
    mistakes = mistakes_in(OperatorSettings, environ)
    for finding in findings("the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings = load_settings(OperatorSettings, environ)
    for finding in (*check_kubeconfig(settings), *_routes(settings)):
        yield finding
    async for finding in _mail(settings, online=online):
        yield finding
    if not online:
        async for finding in _backends_offline(settings, environ):
            yield finding
        return
    access = await check_cluster(settings, rules_of(settings))
    yield access
    if access.verdict is Verdict.OK:
        yield await _backends_online(settings, environ)
    async for finding in _stripe(settings):
        yield finding


def _routes(settings: OperatorSettings) -> Iterator[Finding]:
    """Tell of routes for the other mode: the same routes may serve a test shop and a live one."""
    for number, route in enumerate(settings.routing.routes, start=1):
        if route.when.livemode not in {None, settings.livemode}:
            mode = "live" if settings.livemode else "test"
            wanted = str(route.when.livemode).lower()
            yield Finding(
                Verdict.NOTE,
                f"FULFILLMENT_ROUTES: {label(number, route)} takes no order here: it is for livemode {wanted}, "
                f"and STRIPE_API_KEY is a key of {mode} mode",
            )


async def _mail(settings: OperatorSettings, *, online: bool) -> AsyncIterator[Finding]:
    try:
        mail = mail_of(settings)
    except SettingsError as error:
        yield Finding(Verdict.WRONG, error.message)
        return
    if not isinstance(mail, Mailer):
        yield Finding(Verdict.NOTE, "FULFILLMENT_SMTP_HOST is not set: customers are not told of failed payments")
        return
    yield Finding(Verdict.OK, "the mail templates render")
    if online:
        trouble = await mail.try_out()
        yield Finding(Verdict.WRONG, trouble) if trouble else Finding(Verdict.OK, "the mail server can be reached")


async def _backends_offline(settings: OperatorSettings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Load every backend that an order may go to, and make those that need nothing but their settings.

    One of a derived image has settings of its own, by an entry point of its name.
    """
    names, mistakes = sorted(settings.routing.backends), []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        nowhere = await stack.enter_async_context(client.ApiClient(client.Configuration()))
        for name in names:
            for entry in entry_points(group=GROUP, name=name):
                mistakes += mistakes_in(entry.load(), environ)
            try:
                make = loaded(name)
                if name in _NEED_NO_CLUSTER:
                    context = BackendContext(settings, environ, http, nowhere, whole_seconds)
                    await stack.enter_async_context(make(context))
            except SettingsError as error:
                mistakes.append(error.message)
    for finding in findings(f"the backends can be loaded: {', '.join(names) or 'none'}", mistakes):
        yield finding


async def _backends_online(settings: OperatorSettings, environ: Mapping[str, str]) -> Finding:
    """Make every backend that an order may go to, as the operator does at its start."""
    try:
        async with (
            connect(settings.kubeconfig, connections=1) as api,
            backends_of(settings, api, environ) as backends,
        ):
            return Finding(Verdict.OK, f"the backends are ready: {', '.join(sorted(backends)) or 'none'}")
    except (AccessDeniedError, SettingsError, UnavailableError) as error:
        return Finding(Verdict.WRONG, error.message)


async def _stripe(settings: OperatorSettings) -> AsyncIterator[Finding]:
    mode = "live" if settings.livemode else "test"
    try:
        async with stripe_api(settings) as api:
            await api.retrieve(_UNKNOWN_SESSION.format(mode), None)
    except StripeError as error:
        yield Finding(Verdict.WRONG, str(error))
        return
    yield Finding(Verdict.OK, f"Stripe knows the API key, in {mode} mode, and lets it read Checkout Sessions")
    try:
        async with stripe_client(settings) as asked:
            found = judge(await registered(asked), livemode=settings.livemode, api_version=stripe.api_version)
    except (EndpointsUnreadableError, StripeError) as error:
        yield Finding(Verdict.NOTE, f"the registered webhook endpoints are not looked at: {error}")
        return
    for each in found:
        yield Finding(Verdict.NOTE, each.message)
    if not found:
        yield Finding(Verdict.OK, "a webhook endpoint is registered at Stripe, and is sent every event")
