"""`python -m faults`: play the cases that are asked for, print the table, and write it beside its JSON."""

import asyncio
import itertools
import os
import platform
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from faults.case import Case, Row, play
from faults.cases import CASES
from faults.options import OptionError, Options, read_options
from faults.table import json_rows, markdown_table, text_table
from fulfillment_api.crd import custom_resource_definition
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import Programs, find_programs

OUT = Path(__file__).parent / "out"
"""The folder of `table.md` and `table.json`, unless `OUT` names another."""


def main() -> None:
    """Play; the exit code is 1 unless nothing was lost, doubled or wrong."""
    try:
        options = read_options(os.environ, CASES)
    except OptionError as error:
        sys.exit(str(error))
    folder = Path(os.environ.get("OUT") or OUT)
    rows = asyncio.run(_play_all(options, find_programs(os.environ), folder))
    print(f"\n{_heading(options)}\n\n{text_table(rows)}\n\n{folder / 'table.md'}, {folder / 'table.json'}")
    bad = [row.case.name for row in rows if not row.is_good]
    if bad:
        sys.exit(f"\nnot as promised: {', '.join(bad)}")


async def _play_all(options: Options, programs: Programs, folder: Path) -> list[Row]:
    """Play the cases; what is known is written after each, for all of them take long."""
    waiting, rows = iter(options.cases), dict[Case, Row]()

    async def play_some() -> None:
        for first in waiting:
            async with ControlPlane.running(programs) as control_plane:
                await control_plane.install(custom_resource_definition())
                for case in itertools.chain([first], waiting):
                    rows[case] = await _play_one(case, options, control_plane)
                    _write(folder, options, [rows[each] for each in options.cases if each in rows])
                    if rows[case].verdict is None:  # who knows what it left
                        break

    await asyncio.gather(*(play_some() for _ in range(options.together)))
    return [rows[case] for case in options.cases]


async def _play_one(case: Case, options: Options, control_plane: ControlPlane) -> Row:
    """Play a case; what goes wrong with one stops none of the others."""
    start = time.monotonic()
    try:
        row = await play(case, control_plane, options.scale)
    except Exception as error:  # noqa: BLE001 - it is shown, and makes the exit code 1
        traceback.print_exception(error)
        row = Row(case=case, note=f"failed: {str(error).partition(chr(10))[0]}")
    verdict = "" if row.is_good else ", not as promised"
    print(f"{case.name}: {time.monotonic() - start:.0f} s{verdict}", file=sys.stderr, flush=True)
    return row


def _write(folder: Path, options: Options, rows: list[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "measuredAt": datetime.now(UTC),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "orders": options.scale.orders,
        "seconds": options.scale.seconds,
        "together": options.together,
        "rows": json_rows(rows),
    }
    (folder / "table.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    (folder / "table.md").write_text(f"{_heading(options)}\n\n{markdown_table(rows)}", encoding="utf-8")


def _heading(options: Options) -> str:
    scale = options.scale
    together = f", {options.together} cases at once" if options.together > 1 else ""
    return f"{scale.orders:,} orders a case in {scale.seconds:.0f} s, on {os.cpu_count()} processors{together}"


if __name__ == "__main__":
    main()
