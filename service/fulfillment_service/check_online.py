"""What `fulfillment check-config --online` asks the service that runs beside it, as in a pod: what Stripe sent it."""

from datetime import UTC, datetime

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_service.events.rejections import EventRejectReason
from fulfillment_service.settings import ServiceSettings

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_LAST_EVENT = "fulfillment_webhook_last_event_timestamp_seconds"
_START = "fulfillment_start_timestamp_seconds"
_REJECTIONS = "fulfillment_webhook_rejections_total"


async def check_last_event(settings: ServiceSettings) -> list[Finding]:
    """Ask the service for its metrics; no finding where none runs."""
    url = f"http://localhost:{settings.management_port}/metrics"
    try:
        async with aiohttp.ClientSession() as http, http.get(url, timeout=_TIMEOUT) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return []
    values = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    last, start = values.get((_LAST_EVENT, None), 0.0), values.get((_START, None), 0.0)
    return [judge_last_event(last, start, int(values.get((_REJECTIONS, EventRejectReason.WRONG_SIGNATURE), 0)))]


def judge_last_event(last: float, start: float, wrong_signatures: int) -> Finding:
    """Say when Stripe last sent an event, and whether its signatures are right.

    Args:
        last: when the last event that Stripe signed came, in Unix time; until the first, when the service started.
        start: when it started.
        wrong_signatures: how many requests had a signature that none of the signing secrets made, since then.
    """
    at = datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    compare = with_chart_values("compare STRIPE_WEBHOOK_SECRETS with the signing secret of the endpoint at Stripe")
    if last <= start and wrong_signatures:
        return Finding(
            Verdict.FAILURE,
            Check.LAST_EVENT,
            f"each of the {wrong_signatures} events since the pod started, {at}, had a wrong signature: {compare}",
        )
    if last <= start:
        return Finding(
            Verdict.UNKNOWN,
            Check.LAST_EVENT,
            f"no event of Stripe's came since the pod started, {at}: if one should have, Stripe's Dashboard shows what "
            "became of it",
        )
    if wrong_signatures:
        return Finding(
            Verdict.WARNING,
            Check.LAST_EVENT,
            f"Stripe's last event came {at}, and {wrong_signatures} had a wrong signature: a stranger's, or {compare}",
        )
    return Finding(Verdict.OK, Check.LAST_EVENT, f"Stripe's last event came {at}")
