"""What kopf keeps and copies of each object for handlers of kinds that we have not: nothing."""

from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory


class NoMemories(ResourceMemories):
    """What kopf remembers of each object while it exists, 830 bytes."""

    async def recall(self, raw_body: Any, **known: Any) -> ResourceMemory:  # noqa: ANN401 - kopf's signature
        """Begin anew with each event."""
        return await super().recall(raw_body, **{**known, "ephemeral": True})


class NoDiffs(kopf.DiffBaseStorage):
    """What kopf compares an object with: a deep copy of it at each event."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - kopf's signature
        """Copy nothing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - likewise
        """Find nothing."""

    def store(self, **_: Any) -> None:  # noqa: ANN401 - likewise
        """Write nothing: only a handler that we have not would have it written."""
