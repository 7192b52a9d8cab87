"""The time, as Kubernetes writes it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Tell the time in whole seconds, as metav1.Time has it."""
    return datetime.now(UTC).replace(microsecond=0)
