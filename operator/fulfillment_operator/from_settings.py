"""Makes of the settings what meets the outside: Stripe, the backend, the mail server; and the pace of it all."""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_never

import aiohttp
from standardwebhooks.webhooks import EmptyWebhookSecretError

from fulfillment_operator.backends.http import HttpBackend
from fulfillment_operator.backends.interface import Backend
from fulfillment_operator.backends.log import LogBackend
from fulfillment_operator.backends.manual import ManualBackend
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.mail import Mailer, NoMailer, PaymentFailedMail, Shop, SmtpServer
from fulfillment_operator.reconcile import CustomerMail, Pace
from fulfillment_operator.settings import BackendName, OperatorSettings
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
        kubernetes=Backoff(timedelta(seconds=0.2), timedelta(seconds=5), random.random),
    )


@asynccontextmanager
async def stripe_api(settings: OperatorSettings) -> AsyncIterator[StripeApi]:
    """Connect to Stripe, or to what stands in for it."""
    async with stripe_client(settings) as client:
        yield StripeApi(client, per_second=settings.stripe_requests_per_second, concurrency=settings.stripe_concurrency)


@asynccontextmanager
async def backend_of(settings: OperatorSettings) -> AsyncIterator[Backend]:
    """Make the backend that was chosen.

    Raises:
        SettingsError: its secret is none.
    """
    match settings.backend:
        case BackendName.LOG:
            yield LogBackend()
        case BackendName.MANUAL:
            yield ManualBackend()
        case BackendName.HTTP:
            async with aiohttp.ClientSession() as http:
                try:
                    yield HttpBackend(
                        http,
                        url=settings.http_url or "",
                        secret=settings.http_secret,
                        timeout=settings.http_timeout,
                        clock=whole_seconds,
                    )
                except (ValueError, EmptyWebhookSecretError) as error:
                    raise SettingsError(f"FULFILLMENT_HTTP_SECRET is no Standard Webhooks secret: {error}") from error
        case _:
            assert_never(settings.backend)


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
    return Mailer(PaymentFailedMail(shop, settings.mail_templates), server, whole_seconds)
