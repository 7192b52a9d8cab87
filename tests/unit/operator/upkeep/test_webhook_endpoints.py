"""What is wrong with the webhook endpoints, row by row."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fulfillment_api.event_types import StripeEventType
from fulfillment_operator.upkeep.webhook_endpoint_check import WebhookEndpointMetrics
from fulfillment_operator.upkeep.webhook_endpoints import (
    OPTIONAL,
    RECOMMENDED,
    REQUIRED,
    Endpoint,
    EndpointFinding,
    EndpointProblem,
    find_problems,
)

OURS, OTHER = "2026-10-28.endive", "2024-06-20"
NONE = (
    "Stripe has no enabled webhook endpoint in test mode that is sent events of Checkout (destinations of thin events "
    "are not looked at): register one for checkout.session.async_payment_failed, "
    "checkout.session.async_payment_succeeded, checkout.session.completed"
)


def endpoint(name: str = "we_1", **facts: Any) -> Endpoint:
    return Endpoint(
        **{
            "id": name,
            "enabled": True,
            "livemode": False,
            "events": REQUIRED | RECOMMENDED,
            "api_version": OURS,
            **facts,
        }
    )


def problems(*endpoints: Endpoint) -> list[EndpointProblem | None]:
    return [finding.problem for finding in find_problems(endpoints, livemode=False, api_version=OURS)]


@pytest.mark.parametrize(
    ("endpoints", "found"),
    [
        ([endpoint()], []),
        ([endpoint(events=frozenset({"*"}))], []),
        ([], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(enabled=False)], [EndpointProblem.DISABLED]),
        ([endpoint(enabled=False, events=frozenset({"checkout.session.completed"}))], [EndpointProblem.DISABLED]),
        ([endpoint(enabled=False, events=RECOMMENDED)], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(enabled=False, livemode=True)], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(enabled=False), endpoint("we_2")], []),
        ([endpoint(enabled=False), endpoint("we_2", events=RECOMMENDED)], [EndpointProblem.DISABLED]),
        ([endpoint(livemode=True)], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(events=frozenset({"payment_intent.succeeded"}))], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(events=RECOMMENDED)], [EndpointProblem.NOT_REGISTERED]),
        ([endpoint(events=frozenset({"checkout.session.completed"}) | RECOMMENDED)], [EndpointProblem.MISSING_EVENTS]),
        ([endpoint(api_version=OTHER)], [EndpointProblem.API_VERSION]),
        ([endpoint(api_version=None)], [EndpointProblem.API_VERSION]),
        ([endpoint(events=REQUIRED)], [None]),
        (
            [endpoint(events=frozenset({"checkout.session.completed"}), api_version=OTHER)],
            [EndpointProblem.MISSING_EVENTS, EndpointProblem.API_VERSION, None],
        ),
        ([endpoint(api_version=OTHER), endpoint("we_2")], []),
        (
            [endpoint(events=frozenset({"checkout.session.completed"})), endpoint(api_version=OTHER)],
            [EndpointProblem.API_VERSION],
        ),
        (
            [endpoint(events=frozenset({"checkout.session.completed"})), endpoint(enabled=False)],
            [EndpointProblem.MISSING_EVENTS, None],
        ),
    ],
)
def test_the_best_endpoint_is_judged(endpoints: list[Endpoint], found: list[EndpointProblem | None]) -> None:
    """Other apps of the account have endpoints, too: only what no endpoint does is a problem."""
    assert problems(*endpoints) == found


def test_findings_say_what_to_do() -> None:
    """Each names what is missing, and where."""
    lacking = endpoint(events=REQUIRED - {"checkout.session.async_payment_failed"}, api_version=None)
    assert find_problems([], livemode=False, api_version=OURS) == [
        EndpointFinding(EndpointProblem.NOT_REGISTERED, NONE)
    ]
    disabled = endpoint("we_2", enabled=False)
    assert find_problems(
        [endpoint(enabled=False, events=frozenset({"checkout.session.completed"})), disabled],
        livemode=False,
        api_version=OURS,
    ) == [
        EndpointFinding(
            EndpointProblem.DISABLED,
            "the webhook endpoint we_2 is disabled, so Stripe sends no event to it: mend what its failed deliveries in "
            "Stripe's Dashboard show, enable it there, and bring in what was missed by `fulfillment recover --all`; if "
            "it is no longer needed, delete it",
        )
    ]
    assert find_problems([lacking], livemode=False, api_version=OURS) == [
        EndpointFinding(
            EndpointProblem.MISSING_EVENTS,
            "no webhook endpoint is sent checkout.session.async_payment_failed: add what is missing to we_1 in "
            "Stripe's Dashboard, or orders are found late or not at all",
        ),
        EndpointFinding(
            EndpointProblem.API_VERSION,
            "the events of the webhook endpoint we_1 have the account's default version, and this product is made for "
            "2026-10-28.endive: it reads any, but make an endpoint with that version to be sure",
        ),
        EndpointFinding(
            None,
            "the webhook endpoint we_1 is not sent charge.captured, charge.dispute.closed, charge.dispute.created, "
            "charge.dispute.funds_reinstated, charge.dispute.funds_withdrawn, charge.expired, charge.refunded, "
            "checkout.session.expired, payment_intent.canceled, payment_intent.partially_funded, "
            "radar.early_fraud_warning.created, refund.failed, refund.updated: what becomes of authorized payments, "
            "and what comes after the sale, is known only with them",
        ),
    ]


def test_what_is_needed_is_what_the_service_reads() -> None:
    """Neither workload imports the other: this holds them together."""
    assert set(StripeEventType) == REQUIRED | RECOMMENDED | OPTIONAL


def test_the_gauge_tells_the_last_look() -> None:
    """0 of everything before the first; what is mended goes back to 0."""
    registry = CollectorRegistry()
    metrics = WebhookEndpointMetrics(registry)

    def values() -> list[float | None]:
        name = "fulfillment_webhook_endpoint_problem"
        return [registry.get_sample_value(name, {"problem": problem}) for problem in EndpointProblem]

    assert values() == [0, 0, 0, 0]
    metrics.update([EndpointFinding(EndpointProblem.MISSING_EVENTS, "m"), EndpointFinding(None, "m")])
    assert values() == [0, 0, 1, 0]
    metrics.update([])
    assert values() == [0, 0, 0, 0]
