"""What buyers see, and what their visits cost."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace, per_minute, quantiles

ORDER_PAGE: Sequence[Panel] = (
    Graph(
        title="Visits",
        description="Visits to the order page, by what was shown, in a minute.",
        queries=[per_minute("outcome", "fulfillment_page_visits_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutPageErrors",
    ),
    Graph(
        title="Sessions without a request",
        description="Sessions that visitors named, by what became of asking Stripe, in a minute. Many that are made: "
        "their events do not arrive.",
        queries=[per_minute("outcome", "fulfillment_page_lookups_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
    Graph(
        title="Time to the page",
        description="From a visit to the page's first byte.",
        queries=quantiles("fulfillment_page_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Followers",
        description="Visitors who follow their order right now.",
        queries=[Query(of_namespace("fulfillment_page_followers"), "{{pod}}")],
        unit=Unit.COUNT,
        width=12,
    ),
    Graph(
        title="Watch",
        description="Whether the watch that they follow is up.",
        queries=[Query(of_namespace("fulfillment_page_watching"), "{{pod}}")],
        unit=Unit.COUNT,
        width=12,
    ),
)
