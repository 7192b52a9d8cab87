"""Makes of the settings what meets the outside: Stripe, the backend, the mail server; and the pace of it all."""

import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
from kubernetes.aio import client

from fulfillment_operator.backends.installed import installed_backends
from fulfillment_operator.backends.interface import Backend, BackendContext, MakeBackend
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.mail import Composer, Mailer, NoMailer, Shop, SmtpServer
from fulfillment_operator.reconcile import CustomerMail, Pace
from fulfillment_operator.settings import OperatorSettings
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_runtime.exits import SettingsError
from fulfillment_runtime.stripe_connection import stripe_client


def whole_seconds() -> datetime:
    """Tell the time as metav1.Time has it."""
    return datetime.now(UTC).replace(microsecond=0)


def pace_of(settings: OperatorSettings) -> Pace:
    """Tell how often things are tried again."""
    return Pace(
        recheck=settings.recheck_interval,
        backend=Backoff(timedelta(seconds=2), settings.backend_retry_max, random.random),
        backend_deadline=settings.backend_deadline,
        trouble=Backoff(timedelta(seconds=1), timedelta(minutes=1), random.random),
    )


@asynccontextmanager
async def stripe_api(settings: OperatorSettings) -> AsyncIterator[StripeApi]:
    """Connect to Stripe, or to what stands in for it."""
    async with stripe_client(settings) as client:
        yield StripeApi(client, per_second=settings.stripe_requests_per_second, concurrency=settings.stripe_concurrency)


@asynccontextmanager
async def backends_of(
    settings: OperatorSettings, kubernetes: client.ApiClient, environ: Mapping[str, str]
) -> AsyncIterator[dict[str, Backend]]:
    """Make every backend that an order may go to.

    Args:
        settings: what the operator is told.
        kubernetes: the Kubernetes API.
        environ: environment variables, such as `os.environ`, for settings of a backend's own.

    Raises:
        SettingsError: one of them cannot be loaded, or not be made so.
    """
    async with AsyncExitStack() as stack:
        # By the proxy that the environment names, if any; and no order sees a cookie of the one before.
        session = aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.DummyCookieJar())
        http = await stack.enter_async_context(session)
        context = BackendContext(settings, environ, http, kubernetes, whole_seconds)
        backends = {
            name: await stack.enter_async_context(loaded(name)(context)) for name in sorted(settings.routing.backends)
        }
        for name, backend in backends.items():
            if backend.name != name:  # status would name a backend that is not there
                raise SettingsError(
                    f"the backend {name} calls itself {backend.name}: its name is that of its entry point"
                )
        yield backends


def loaded(name: str) -> MakeBackend:
    """Load what makes a backend.

    Raises:
        SettingsError: it cannot be loaded.
    """
    entry = installed_backends()[name]
    try:
        make: MakeBackend = entry.load()
    except Exception as error:  # whatever a derived image's own module does when it is imported
        raise SettingsError(f"the backend {name} cannot be loaded from {entry.value}: {error!r}") from error
    return make


def mail_of(settings: OperatorSettings) -> CustomerMail:
    """Make what tells customers, or what says that nobody can be told.

    Raises:
        SettingsError: the sender is no address, or a template does not render.
    """
    if settings.smtp_host is None or settings.mail_from is None:
        return NoMailer()
    shop = Shop(settings.shop_name, settings.shop_url, settings.mail_from)
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password,
        timeout=settings.smtp_timeout,
        trust=ssl.create_default_context(),
    )
    return Mailer(Composer(shop, settings.mail_templates), server, whole_seconds, receipts=settings.receipts)
