"""`make faults` plays real processes: at a small scale, its shortest cases keep what is promised."""

import json
import os
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from pathlib import Path

import pytest

from support.repository import ROOT


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("busy")
@pytest.mark.parametrize("case", ["service-killed", "leader-stopped"])
async def test_a_short_case_loses_and_doubles_nothing(case: str, tmp_path: Path) -> None:
    environ = {**os.environ, "ORDERS": "24", "CASES": case, "OUT": str(tmp_path)}
    bench = await create_subprocess_exec(
        sys.executable, "-m", "faults", cwd=ROOT, env=environ, stdout=DEVNULL, stderr=DEVNULL
    )
    await bench.communicate()
    (row,) = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert (row["case"], row["orders"], row["lost"], row["doubled"], row["wrong"]) == (case, 24, [], [], {})
    assert row["settled"] is not None  # how quickly says something on an idle machine only
    assert f"make faults CASES={case}" in (tmp_path / "table.md").read_text()
