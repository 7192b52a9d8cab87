"""What a backup holds of orders, and what a restore makes of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

_KEPT = ("name", "namespace", "labels", "annotations")
_OBSERVED = ("payment", "reversal", "expiry", "callback", "rejectedCallback")


def backup_of(items: Iterable[dict[str, Any]], observed_at: datetime) -> list[dict[str, Any]]:
    """Return objects as a backup of that time holds them, and as a tool that restores them creates them.

    Args:
        items: as the API server has them.
        observed_at: nobody restores what is seconds old, so what was observed was observed then.
    """
    time = observed_at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def aged(spec: dict[str, Any]) -> dict[str, Any]:
        return spec | {each: spec[each] | {"observedAt": time} for each in _OBSERVED if each in spec}

    return [
        each
        | {"metadata": {key: value for key, value in each["metadata"].items() if key in _KEPT}}
        | {"spec": aged(each["spec"])}
        for each in items
    ]
