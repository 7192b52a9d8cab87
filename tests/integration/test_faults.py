"""The fault bench plays real processes: at a small scale, its shortest cases keep what is promised."""

import pytest

from faults.case import Scale, play
from faults.cases import CASES
from fulfillment_local.control_plane import ControlPlane

_SCALE = Scale(orders=16, seconds=2.0)


@pytest.mark.usefixtures("crd")
@pytest.mark.xdist_group("busy")
@pytest.mark.parametrize("name", ["service-killed", "leader-stopped"])
async def test_a_short_case_loses_and_doubles_nothing(name: str, control_plane: ControlPlane) -> None:
    (case,) = (each for each in CASES if each.name == name)
    row = await play(case, control_plane, _SCALE)
    assert row.verdict is not None
    assert (row.orders, row.verdict.lost, row.verdict.doubled, row.verdict.wrong) == (_SCALE.orders, (), (), {})
    assert row.restarts > 0  # the fault was played
    assert row.settled is not None  # how quickly says something on an idle machine only
