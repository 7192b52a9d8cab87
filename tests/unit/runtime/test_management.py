"""What every workload exports of itself."""

from prometheus_client import Counter, Histogram, generate_latest

from fulfillment_runtime.management import process_registry


def test_it_is_told_when_the_counters_began() -> None:
    """By this the alerts know what was counted before the first scrape."""
    assert process_registry(1793611800.5).get_sample_value("fulfillment_start_timestamp_seconds") == 1793611800.5


def test_no_series_is_exported_that_nobody_reads() -> None:
    """A counter and a histogram are their values, and not when each was made."""
    registry = process_registry(0)
    Counter("some", "Some.", ["label"], registry=registry).labels("a").inc()
    Histogram("another", "Another.", registry=registry).observe(1)
    text = generate_latest(registry).decode()
    assert 'some_total{label="a"} 1.0' in text
    assert "_created" not in text
