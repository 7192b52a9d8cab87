"""What only a pod can see, asked there: `fulfillment check-config --online` in a pod of each workload.

The Stripe key, the signing secrets, the backend and the mail server are the pods' own. So nobody needs another right
than to `exec`, and no secret leaves a pod.
"""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from fulfillment_cli.cluster import ConfigFlags
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.findings import Report

_TIMEOUT = 90.0  # seconds: the pod asks Stripe, the mail server and the backend, each with a time limit of its own
_ENDED = re.compile(r"command terminated with exit code \d+")


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command in a pod came to."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last line that the command wrote to standard error: not what kubectl says after it of its end."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        if lines and _ENDED.fullmatch(lines[-1]):
            lines.pop()
        return lines[-1] if lines else ""


Exec: TypeAlias = Callable[[str, str, tuple[str, ...]], Awaitable[Executed]]
"""Runs a command in a container: the pod, the container, and the command's words."""


class NotAskedError(Exception):
    """The pod could not be asked. The message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pod said."""

    pod: str
    report: Report
    clock_skew: timedelta
    """By how much the pod's clock is before, or behind, that of this machine at least: 0 when they may agree."""


def kubectl_exec(flags: ConfigFlags, namespace: str) -> Exec | None:
    """Make what runs commands in pods: kubectl, as whom the flags say; None where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None

    async def run(pod: str, container: str, command: tuple[str, ...]) -> Executed:
        context = [f"--context={flags.context}"] if flags.context else []
        process = await asyncio.create_subprocess_exec(
            kubectl,
            *(*context, "exec", f"--namespace={namespace}", pod, f"--container={container}", "--", *command),
            env={**os.environ, **({"KUBECONFIG": flags.kubeconfig} if flags.kubeconfig else {})},
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(_TIMEOUT):
                output, errors = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return Executed(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))

    return run


async def ask_pod(execute: Exec, pod: str, container: str, workload: str) -> Answer:
    """Have a pod check its configuration, and all that it can reach.

    Args:
        execute: runs a command there.
        pod: the pod.
        container: its container.
        workload: whose settings it has, as `check-config --settings` takes it.

    Raises:
        NotAskedError: it could not be asked.
    """
    began = utc_now()
    command = ("fulfillment", "check-config", "--settings", workload, "--online", "--output", "json")
    try:
        done = await execute(pod, container, command)
    except TimeoutError:
        raise NotAskedError(f"{pod} did not answer within {_TIMEOUT:g} s") from None
    try:
        report = msgspec.json.decode(done.output, type=Report)
    except msgspec.DecodeError:
        why = done.last_words or f"it ended with exit code {done.code}, and said nothing"
        raise NotAskedError(f"{pod} could not be asked: {why}") from None
    return Answer(pod, report, _skew(report.time, began, utc_now()))


def _skew(there: datetime, began: datetime, ended: datetime) -> timedelta:
    """Tell by how much a clock is off at least: it was read some time between two readings of ours."""
    if there < began:
        return there - began
    return max(there - ended, timedelta(0))
