"""`python -m benchmarks`: measure the rows that are asked for, print the table, and write it beside its JSON."""

import asyncio
import os
import platform
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import (
    at_rest,
    command_line,
    etcd,
    flood,
    intake,
    memory,
    plugin,
    settle,
    steady,
    stripe_limits,
    waiting,
)
from benchmarks.bench import Bench
from benchmarks.builds import ROOT, BuildError, build_of, this_build
from benchmarks.options import OptionError, Options, read_options
from benchmarks.table import Figure, Group, Row, json_rows, markdown_table, rows_of, text_table, unmeasured
from fulfillment_local.programs import find_programs

OUT = ROOT / "benchmarks" / "out"
"""The folder of `table.md` and `table.json`, unless `OUT` names another."""

_MEASURE: dict[Group, Callable[[Bench], Awaitable[list[Figure]]]] = {
    Group.INTAKE: intake.measure,
    Group.FLOOD: flood.measure,
    Group.SETTLE: settle.measure,
    Group.STRIPE: stripe_limits.measure,
    Group.STEADY: steady.measure,
    Group.WAITING: waiting.measure,
    Group.MEMORY: memory.measure,
    Group.AT_REST: at_rest.measure,
    Group.COMMAND_LINE: command_line.measure,
    Group.PLUGIN: plugin.measure,
}


def main() -> None:
    """Measure; the exit code is 1 when a measurement failed, whatever goals are met."""
    folder = Path(os.environ.get("OUT") or OUT)
    try:
        bench = _bench(read_options(os.environ))
    except (OptionError, BuildError) as error:
        sys.exit(str(error))
    start = time.monotonic()
    figures, failures = asyncio.run(_measure(bench))
    _write(folder, bench, figures, failures, time.monotonic() - start)
    print(f"\n{_heading(bench)}\n\n{text_table(figures)}\n\n{folder / 'table.md'}, {folder / 'table.json'}")
    for group, failure in failures.items():
        print(f"\n{group} could not be measured:\n{failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def _bench(options: Options) -> Bench:
    return Bench(
        programs=find_programs(os.environ),
        options=options,
        build=this_build(),
        base=build_of(options.base) if options.base else None,
    )


async def _measure(bench: Bench) -> tuple[list[Figure], dict[Group, str]]:
    """Measure group after group; what goes wrong with one stops none of the others."""
    figures: list[Figure] = []
    failures: dict[Group, str] = {}
    begun = {Group.ETCD: await _begin_etcd(bench)} if Group.ETCD in bench.options.groups else {}
    for group in sorted(bench.options.groups, key=lambda each: each in begun):
        start = time.monotonic()
        try:
            figures += await (begun.get(group) or _MEASURE[group](bench))
        except Exception as error:  # noqa: BLE001 - it is shown in the end, and makes the exit code 1
            failures[group] = "".join(traceback.format_exception(error))
            first_line = str(error).partition("\n")[0]
            figures += [unmeasured(row, f"failed: {first_line}") for row in rows_of(group)]
        print(f"{group}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return sorted(figures, key=lambda each: list(Row).index(each.row)), failures


async def _begin_etcd(bench: Bench) -> asyncio.Task[list[Figure]]:
    """Begin with what then waits for minutes, and costs next to nothing meanwhile; return once it waits, or failed."""
    prepared = asyncio.Event()
    task = asyncio.create_task(etcd.measure(bench, prepared))
    ready = asyncio.create_task(prepared.wait())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    return task


def _write(folder: Path, bench: Bench, figures: list[Figure], failures: dict[Group, str], seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "build": bench.build.commit,
        "base": bench.base.commit if bench.base else None,
        "measuredAt": datetime.now(UTC),
        "seconds": seconds,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "senders": bench.options.senders,
        "full": bench.options.full,
        "scale": msgspec.to_builtins(bench.scale),
        "rows": json_rows(figures),
        "failures": failures,
    }
    (folder / "table.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    (folder / "table.md").write_text(f"{_heading(bench)}\n\n{markdown_table(figures)}", encoding="utf-8")


def _heading(bench: Bench) -> str:
    beside = f", beside BASE {bench.base.commit}" if bench.base else ""
    options: Options = bench.options
    reduced = ", at a reduced scale" if options.scale.is_reduced else ""
    machine = f"Python {platform.python_version()}, on {os.cpu_count()} processors"
    return f"{bench.build.commit}{beside}, {machine}, {options.senders} senders{reduced}"


if __name__ == "__main__":
    main()
