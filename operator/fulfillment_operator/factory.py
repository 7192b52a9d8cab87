"""Makes from the settings what meets the outside: Stripe and the backends; and the retry policy."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import aiohttp
from kubernetes.aio import client

from fulfillment_operator.backends.installed import load_backend
from fulfillment_operator.backends.interface import Backend, BackendContext
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.retry_policy import RetryPolicy
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader


def retry_policy(settings: OperatorSettings) -> RetryPolicy:
    """Tell how often things are tried again."""
    return RetryPolicy(
        recheck=settings.recheck_interval,
        backend=Backoff(timedelta(seconds=2), settings.backend_retry_max, random.random),
        backend_deadline=settings.backend_deadline,
        errors=Backoff(timedelta(seconds=1), timedelta(minutes=1), random.random),
        misconfigured=Backoff(timedelta(seconds=1), timedelta(minutes=5), random.random),
        mail=Backoff(timedelta(seconds=1), timedelta(minutes=15), random.random),
    )


@asynccontextmanager
async def open_stripe_api(
    settings: OperatorSettings, waited: Callable[[str, float], None] = lambda _endpoint, _seconds: None
) -> AsyncIterator[StripeApi]:
    """Connect to Stripe, or to what stands in for it.

    Args:
        settings: where it is, and its limits.
        waited: is told of each request: its endpoint, and how many seconds it waited for its turn.
    """
    async with stripe_client(settings) as client:
        api = StripeApi(stripe_reader(client, settings, concurrency=settings.stripe_concurrency, waited=waited))
        try:
            yield api
        finally:
            await api.close()


@asynccontextmanager
async def open_backends(
    settings: OperatorSettings, environ: Mapping[str, str], kubernetes: client.ApiClient
) -> AsyncIterator[dict[str, Backend]]:
    """Make every backend that an order may go to.

    Args:
        settings: the operator's.
        environ: environment variables, such as `os.environ`, for the backends' settings.
        kubernetes: the Kubernetes API.

    Raises:
        SettingsError: one of them cannot be loaded, or not be made so.
    """
    async with AsyncExitStack() as stack:
        # By the proxy that the environment names, if any; and no order sees a cookie of the one before.
        session = aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.DummyCookieJar())
        http = await stack.enter_async_context(session)
        context = BackendContext(
            environ=environ,
            namespace=settings.namespace,
            deadline=settings.backend_deadline,
            http=http,
            kubernetes=kubernetes,
            clock=utc_now,
        )
        backends = {
            name: await stack.enter_async_context(load_backend(name)(context))
            for name in sorted(settings.routing.backends)
        }
        for name, backend in backends.items():
            if backend.name != name:  # status would name a backend that is not there
                raise SettingsError(
                    f"the backend {name} calls itself {backend.name}: its name is that of its entry point"
                )
        yield backends
