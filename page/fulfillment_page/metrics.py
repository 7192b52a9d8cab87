"""The metrics of the order page. No label is an object's name or an id; every label set exists from the start."""

from collections.abc import Iterable
from enum import StrEnum, unique

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@unique
class VisitOutcome(StrEnum):
    """What a visitor was shown: their order, or, for one of the other reasons, the page that shows none."""

    SHOWN = "shown"
    UNKNOWN = "unknown"
    """There is no such order."""
    MALFORMED = "malformed"
    """The id cannot be a Session's, or not one of the mode that counts: nobody was asked."""
    LIMITED = "limited"
    """Too many visits, of this address or over all: nobody was asked."""
    UNAVAILABLE = "unavailable"
    """The API server, or Stripe, could not be asked, or refuses it."""


class PageMetrics:
    """The metrics of the order page."""

    def __init__(self, registry: CollectorRegistry, lookup_outcomes: Iterable[StrEnum]) -> None:
        """Make them.

        Args:
            registry: where.
            lookup_outcomes: what may become of a question to Stripe.
        """
        self._visits = Counter(
            "fulfillment_page_visits_total", "Visits to the order page, by outcome.", ["outcome"], registry=registry
        )
        self._lookups = Counter(
            "fulfillment_page_lookups_total",
            "Sessions without a request that visitors named, by what became of asking Stripe.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "fulfillment_page_duration_seconds",
            "Time from a visit to the page's first byte.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.followers = Gauge(
            "fulfillment_page_followers", "Visitors who follow their order right now.", registry=registry
        )
        self.watching = Gauge(
            "fulfillment_page_watching",
            "Whether the watch that they follow is up: 1, or 0 while it is interrupted.",
            registry=registry,
        )
        for outcome in VisitOutcome:
            self._visits.labels(outcome)
        for each in lookup_outcomes:
            self._lookups.labels(each)

    def visited(self, outcome: VisitOutcome, seconds: float) -> None:
        """Count a visit, and observe how long its answer took."""
        self._visits.labels(outcome).inc()
        self._seconds.observe(seconds)

    def looked_up(self, outcome: StrEnum) -> None:
        """Count a Session that had no request."""
        self._lookups.labels(outcome).inc()
