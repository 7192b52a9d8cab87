"""`make bench` measures: at a tiny scale, every figure that was asked for is there."""

import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from benchmarks.sender import Job, Shot, send
from benchmarks.table import Group, Row, rows_of
from support.repository import ROOT

CLOSED = "http://127.0.0.1:1/"
GROUPS = (Group.SETTLE,)


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("busy")
async def test_a_tiny_run_holds_every_row_that_was_asked_for(tmp_path: Path) -> None:
    """The figures of so few orders mean nothing; what an order costs in writes is exact all the same."""
    environ = {**os.environ, "ORDERS": "20", "SENDERS": "4", "ROWS": ",".join(GROUPS), "OUT": str(tmp_path)}
    bench = await create_subprocess_exec(
        sys.executable, "-m", "benchmarks", cwd=ROOT, env=environ | {"BASE": ""}, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await bench.communicate()
    assert bench.returncode == 0, output.decode()
    table = json.loads((tmp_path / "table.json").read_text())
    found = {row["row"]: row for row in table["rows"]}
    assert list(found) == [row.key for group in GROUPS for row in rows_of(group)]
    assert not table["failures"]
    for row in (row for group in GROUPS for row in rows_of(group)):
        shown = found[row.key]
        assert row.title in output.decode()
        assert row.title in (tmp_path / "table.md").read_text()
        if row.needs_base:
            assert (shown["measured"], shown["note"]) == (None, "it compares two builds: set BASE=<commit>")
        elif shown["measured"] is None:  # on a busy machine so few are settled before anyone looks
            assert (row, shown["note"][:16]) == (Row.SETTLE_CPU, "all were settled")
        else:
            assert shown["measured"] >= 0
    assert found[Row.CREATES.key]["measured"] == 1
    assert found[Row.STATUS_PATCHES.key]["measured"] == 1


async def answer(request: web.BaseRequest) -> web.Response:
    return web.Response(text=await request.text(), status=200 if request.path == "/good" else 409)


@pytest.mark.parametrize("rate", [None, 200.0])
async def test_the_sender_tells_what_came_of_each_request_in_their_order(rate: float | None) -> None:
    async with RawTestServer(answer) as server:
        shots = [
            Shot(method="POST", url=url, body=f"body {place}")
            for place, url in enumerate((str(server.make_url("/good")), str(server.make_url("/bad")), CLOSED))
        ]
        report = await send(Job(shots=shots, concurrency=2, rate=rate))
    good, bad, lost = report.outcomes
    assert (good.status, good.problem) == (200, "")
    assert (bad.status, bad.problem) == (409, "body 1")
    assert lost.status == 0
    assert lost.problem.startswith("ClientConnectorError")
    assert max(each.seconds for each in report.outcomes) <= report.seconds
