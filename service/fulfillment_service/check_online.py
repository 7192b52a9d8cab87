"""What `fulfillment check-config --online` asks the service that runs beside it, as in a pod: what Stripe sent it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_runtime.management import STARTED_AT
from fulfillment_service.events.rejections import OF_SIGNED_EVENTS, EventRejectReason
from fulfillment_service.http.metrics import LAST_EVENT_AT, REJECTIONS
from fulfillment_service.settings import ServiceSettings

_TIMEOUT = aiohttp.ClientTimeout(total=5)


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
    if (LAST_EVENT_AT, None) not in values:  # another process has that port
        return []
    start, rejections = values[STARTED_AT, None], {each: int(values[REJECTIONS, each]) for each in EventRejectReason}
    last = judge_last_event(values[LAST_EVENT_AT, None], start, rejections[EventRejectReason.WRONG_SIGNATURE])
    unusable = judge_rejections(start, {each: rejections[each] for each in OF_SIGNED_EVENTS})
    return [last, *([unusable] if unusable else [])]


def judge_rejections(start: float, rejections: Mapping[EventRejectReason, int]) -> Finding | None:
    """Say which events were rejected that Stripe signed: each may be an order's. None: none was.

    Args:
        start: when the service started, in Unix time.
        rejections: how many were rejected since then, by reason.
    """
    found = [f"{count} {reason}" for reason, count in rejections.items() if count]
    if not found:
        return None
    return Finding(
        Verdict.FAILURE,
        Check.ENDPOINT,
        f"events that Stripe signed are rejected ({', '.join(found)} since the pod started, {_format(start)}): its log "
        "says what to mend (webhook.rejected); then `fulfillment recover --all` brings in what they were about",
    )


def judge_last_event(last: float, start: float, wrong_signatures: int) -> Finding:
    """Say when Stripe last sent an event, and whether its signatures are right.

    Args:
        last: when the last event that Stripe signed came, in Unix time; until the first, when the service started.
        start: when it started.
        wrong_signatures: how many requests had a signature that none of the signing secrets made, since then.
    """
    at = _format(last)
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


def _format(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
