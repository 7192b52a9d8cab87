"""Asks Stripe now and then which webhook endpoints are registered, and says what is wrong with them.

It is advice: whatever happens here, orders go on.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import stripe
import structlog
from prometheus_client import CollectorRegistry, Gauge

from fulfillment_operator.upkeep.webhook_endpoints import Endpoint, EndpointFinding, EndpointProblem, find_problems
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.stripe.client import StripeError, StripeUnavailableError, translate_error

_log = structlog.get_logger(__name__)

_LIST_LIMIT = 100  # in one list; Stripe lets an account have fewer (16 of each mode)
_PERMISSION = "to read Webhook Endpoints: give the restricted key that read permission"


class EndpointsUnreadableError(Exception):
    """The API key may not read webhook endpoints. Nothing else needs that right."""


class WebhookEndpointMetrics:
    """What is wrong with the webhook endpoint. Every label set exists from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._problems = Gauge(
            "fulfillment_webhook_endpoint_problem",
            "Whether Stripe's list of webhook endpoints has this problem: 1 or 0; 0 until it is read.",
            ["problem"],
            registry=registry,
        )
        self.update([])

    def update(self, findings: list[EndpointFinding]) -> None:
        """Set what was found."""
        problems = {finding.problem for finding in findings}
        for problem in EndpointProblem:
            self._problems.labels(problem).set(problem in problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpointCheck:
    """Checks the endpoints again and again, while this operator leads."""

    client: stripe.StripeClient
    livemode: bool
    """The mode of the API key."""
    initial_delay: timedelta
    """Before the first check: what waits at the start is more urgent."""
    interval: timedelta
    """Between two checks."""
    backoff: Backoff
    """Between two tries while Stripe is away."""
    metrics: WebhookEndpointMetrics

    async def run(self) -> None:
        """Check them, for ever."""
        await asyncio.sleep(self.initial_delay.total_seconds())
        failures = 0
        while True:
            try:
                await self.check()
                failures, wait = 0, self.interval
            except EndpointsUnreadableError as error:
                _log.info("webhook_endpoints.not_checked", message=str(error))
                failures, wait = 0, self.interval
            except StripeError as error:
                failures += 1
                wait = self.backoff.delay(failures)
                _log.info("webhook_endpoints.not_checked", message=str(error), again_after=wait.total_seconds())
            except Exception:  # noqa: BLE001 - advice must not end the operator
                _log.exception("webhook_endpoints.check_failed")
                return
            await asyncio.sleep(wait.total_seconds())

    async def check(self) -> list[EndpointFinding]:
        """Check them once, and return what was found.

        Raises:
            EndpointsUnreadableError: the API key may not read webhook endpoints.
            StripeError: Stripe cannot be asked.
        """
        findings = find_problems(
            await list_endpoints(self.client), livemode=self.livemode, api_version=stripe.api_version
        )
        self.metrics.update(findings)
        for finding in findings:
            if finding.problem is None:
                _log.info("webhook_endpoints.note", message=finding.message)
            else:
                _log.warning("webhook_endpoints.problem", problem=finding.problem, message=finding.message)
        return findings


async def list_endpoints(client: stripe.StripeClient) -> list[Endpoint]:
    """List the webhook endpoints that are registered for the API key's account and mode.

    Raises:
        EndpointsUnreadableError: the API key may not read them.
        StripeError: Stripe cannot be asked.
    """
    try:
        listed = await client.v1.webhook_endpoints.list_async({"limit": _LIST_LIMIT})
        return [_endpoint(each) for each in msgspec.convert(listed.to_dict(), _List).data]
    except stripe.PermissionError as error:
        raise EndpointsUnreadableError(str(translate_error(error, right=_PERMISSION))) from error
    except stripe.StripeError as error:
        raise translate_error(error, right=_PERMISSION) from error
    except msgspec.ValidationError as error:
        raise StripeUnavailableError(f"Stripe's answer has an unexpected form: {error}") from error


class _Endpoint(msgspec.Struct):
    """The part of Stripe's `webhook_endpoint` that is read."""

    id: str
    status: str
    livemode: bool
    enabled_events: list[str]
    api_version: str | None = None


class _List(msgspec.Struct):
    """Stripe's list of them, as far as it is read."""

    data: list[_Endpoint]


def _endpoint(raw: _Endpoint) -> Endpoint:
    return Endpoint(
        id=raw.id,
        enabled=raw.status == "enabled",
        livemode=raw.livemode,
        events=frozenset(raw.enabled_events),
        api_version=raw.api_version,
    )
