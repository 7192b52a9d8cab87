"""What every group of rows measures with."""

import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from benchmarks.builds import Build
from benchmarks.options import Options, Scale
from benchmarks.world import World, open_world
from fulfillment_local.programs import Programs

NEEDS_BASE = "it compares two builds: set BASE=<commit>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The builds, the programs that a world is made of, and how large all of it is."""

    programs: Programs
    options: Options
    build: Build
    base: Build | None

    @property
    def scale(self) -> Scale:
        """How many of each there are."""
        return self.options.scale

    @property
    def builds(self) -> list[Build]:
        """This build, and the other one if there is one."""
        return [self.build] if self.base is None else [self.build, self.base]

    def world(self, build: Build | None = None, *, limited: bool = False) -> AbstractAsyncContextManager[World]:
        """Open a world as `open_world` does; for this build unless another is named."""
        return open_world(self.programs, build or self.build, senders=self.options.senders, limited=limited)

    def scale_note(self, text: str) -> str:
        """Say how large it was, where that is not as large as the table says."""
        return f"reduced: {text}" if self.scale.is_reduced else ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all lies, by nearest rank; there is at least one."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
