"""The commands beside the least that the same machine does: kubectl alone, and a Python that imports click."""

import os
import statistics
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.builds import neutral_environ
from benchmarks.orders import made_up
from benchmarks.table import Figure, Row, measured
from benchmarks.world import World, run
from fulfillment_api.names import PLURAL
from fulfillment_local.fake_stripe.model import Order


def plugin_environ(world: World) -> dict[str, str]:
    """Return the environment in which kubectl finds the build's plugin, and the world."""
    path = f"{world.build.programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**neutral_environ(), "PATH": path, "KUBECONFIG": str(world.kubeconfig)}


async def timed(program: Path, *arguments: str, environ: dict[str, str]) -> float:
    """Run a program, and return how many seconds it took.

    Raises:
        MeasurementError: it failed; with its own words.
    """
    start = time.perf_counter()
    await run(program, *arguments, environ=environ)
    return time.perf_counter() - start


async def measure(bench: Bench) -> list[Figure]:
    """Run each pair in turns, and compare their medians."""
    async with bench.world() as world:
        template = await world.template(Order(), phase="fulfilled")
        await world.make(template, [made_up(number) for number in range(bench.scale.listed)])
        environ = plugin_environ(world)
        python = world.build.programs / "python"
        pairs: dict[Row, tuple[list[float], list[float]]] = {Row.LIST: ([], []), Row.HELP: ([], [])}
        for _ in range(bench.scale.repeats):
            for row, command, beside in (
                (Row.LIST, (world.kubectl, "fulfillment", "list"), (world.kubectl, "get", PLURAL)),
                (Row.HELP, (world.build.fulfillment, "--help"), (python, "-c", "import click")),
            ):
                pairs[row][0].append(await timed(*command, environ=environ))
                pairs[row][1].append(await timed(*beside, environ=environ))
    figures = []
    for row, both in pairs.items():
        mine, beside_it = map(statistics.median, both)
        parts = {"median, s": mine, "median beside it, s": beside_it}
        figures.append(measured(row, mine / beside_it, bench.scale_note(f"{bench.scale.listed} orders"), parts=parts))
    return figures
