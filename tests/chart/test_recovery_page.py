"""Every command of docs/recovery.md is tried."""

import asyncio
import re
import shlex
from asyncio.subprocess import PIPE

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import render
from support.commands import fulfillment
from support.kubectl import kubectl
from support.repository import ROOT
from support.running_recovery import HOUR, outage

PAGE = (ROOT / "docs/recovery.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL) for line in block.splitlines()]
RUNS_A_POD = "logs"  # there is no kubelet here


@pytest.mark.xdist_group("chart on another API server")
@pytest.mark.usefixtures("crd")
async def test_every_command_does_what_the_page_says(
    control_plane: ControlPlane, namespace: str, programs: ChartPrograms
) -> None:
    """Kubectl's on what the chart installs; ours against a stand-in for Stripe with an order that was lost."""
    manifests = render(programs.helm, {"recovery": {"enabled": True}}, f"--namespace={namespace}")
    own = [each for each in manifests if "recovery" in each["metadata"]["name"]]
    assert len(own) == 4
    kubectl(control_plane, "apply", "-f", "-", manifests=own)
    async with outage(control_plane, namespace) as missed:
        missed.clock.ago(48 * HOUR)
        missed.lose()
        for command in (each for each in COMMANDS if each.startswith("fulfillment ")):
            process = await asyncio.create_subprocess_exec(
                fulfillment(),
                *shlex.split(command)[1:],
                env=missed.environ,
                stdout=PIPE,
                stderr=PIPE,
            )
            output, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
            assert "1 found: " in output.decode() or "--since 12h" in command
        for command in (each for each in COMMANDS if each.startswith("kubectl ")):
            arguments = shlex.split(command.replace("NAMESPACE", namespace))[1:]
            if RUNS_A_POD not in arguments:
                kubectl(control_plane, *arguments)
        (job,) = kubectl(control_plane, "-n", namespace, "get", "jobs", "-o", "name").splitlines()
        assert job == "job.batch/recover-now"
        data = kubectl(
            control_plane, "-n", namespace, "get", "configmap", "checkout-fulfillment-recovery", "-o", "yaml"
        )
        assert 'last-result: \'{"created":0,' in data
        assert "last-success: " in data
