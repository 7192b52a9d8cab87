"""Asks Stripe now and then which webhook endpoints are registered, and tells what is wrong with them.

It is advice: whatever happens here, orders go on.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import stripe
import structlog
from prometheus_client import CollectorRegistry, Gauge

from fulfillment_operator.backoff import Backoff
from fulfillment_operator.endpoints import Endpoint, Finding, Problem, judge
from fulfillment_runtime.stripe_connection import StripeError, StripeUnavailableError, translate_error

_log = structlog.get_logger(__name__)

_MOST = 100  # in one list; Stripe lets an account have fewer (16 of each mode)
_RIGHT = "to read Webhook Endpoints: give the restricted key that read permission"


class EndpointsUnreadableError(Exception):
    """The API key may not read webhook endpoints. Nothing else needs that right."""


class EndpointMetrics:
    """What is wrong with the webhook endpoint. Every label set exists from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._problems = Gauge(
            "fulfillment_webhook_endpoint_problem",
            "Whether Stripe's list of webhook endpoints has this problem: 1 or 0; 0 until it is read.",
            ["problem"],
            registry=registry,
        )
        self.found([])

    def found(self, findings: list[Finding]) -> None:
        """Note what was found."""
        problems = {finding.problem for finding in findings}
        for problem in Problem:
            self._problems.labels(problem).set(problem in problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCheck:
    """Looks at the endpoints again and again, while this operator leads."""

    client: stripe.StripeClient
    livemode: bool
    """The mode of the API key."""
    first_after: timedelta
    """What waits at the start is more urgent."""
    every: timedelta
    backoff: Backoff
    """Between two tries while Stripe is away."""
    metrics: EndpointMetrics

    async def run(self) -> None:
        """Look, for ever."""
        await asyncio.sleep(self.first_after.total_seconds())
        failures = 0
        while True:
            try:
                await self.once()
                failures, wait = 0, self.every
            except EndpointsUnreadableError as error:
                _log.info("endpoints.not_checked", message=str(error))
                failures, wait = 0, self.every
            except StripeError as error:
                failures += 1
                wait = self.backoff.delay(failures)
                _log.info("endpoints.not_checked", message=str(error), again_after=wait.total_seconds())
            except Exception:  # noqa: BLE001 - advice must not end the operator
                _log.exception("endpoints.check_failed")
                return
            await asyncio.sleep(wait.total_seconds())

    async def once(self) -> list[Finding]:
        """Look once, and tell what was found.

        Raises:
            EndpointsUnreadableError: the API key may not read webhook endpoints.
            StripeError: Stripe cannot be asked.
        """
        findings = judge(await registered(self.client), livemode=self.livemode, api_version=stripe.api_version)
        self.metrics.found(findings)
        for finding in findings:
            if finding.problem is None:
                _log.info("endpoints.note", message=finding.message)
            else:
                _log.warning("endpoints.problem", problem=finding.problem, message=finding.message)
        return findings


async def registered(client: stripe.StripeClient) -> list[Endpoint]:
    """List the webhook endpoints that are registered for the API key's account and mode.

    Raises:
        EndpointsUnreadableError: the API key may not read them.
        StripeError: Stripe cannot be asked.
    """
    try:
        listed = await client.v1.webhook_endpoints.list_async({"limit": _MOST})
        return [_endpoint(each) for each in msgspec.convert(listed.to_dict(), _List).data]
    except stripe.PermissionError as error:
        raise EndpointsUnreadableError(str(translate_error(error, right=_RIGHT))) from error
    except stripe.StripeError as error:
        raise translate_error(error, right=_RIGHT) from error
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
    data: list[_Endpoint]


def _endpoint(raw: _Endpoint) -> Endpoint:
    return Endpoint(
        id=raw.id,
        enabled=raw.status == "enabled",
        livemode=raw.livemode,
        events=frozenset(raw.enabled_events),
        api_version=raw.api_version,
    )
