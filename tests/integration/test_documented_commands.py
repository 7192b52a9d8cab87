"""The commands in the documentation work: kubectl's on a real API server, and ours as the parser takes them."""

import asyncio
import os
import re
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fulfillment_api.status import Phase
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order
from fulfillment_runtime.commands.main import main as fulfillment
from support.repository import ROOT
from support.running_operator import Shop, at_work

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KUBECTL_PAGES = ("fulfillmentrequest.md", "gitops.md", "manual-backend.md", "job-backend.md")
OURS = ("settings.md", "retention.md", "trigger.md", "routes.md", "backup.md", "recovery.md")


def lines(page: str, program: str) -> Iterator[list[str]]:
    """Yield the lines of each block that begin with a program."""
    for block in _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if found := [line for line in block.splitlines() if line.startswith(program)]:
            yield found


KUBECTL = [block for page in KUBECTL_PAGES for block in lines(page, "kubectl ")]


@pytest.mark.usefixtures("crd")
async def test_kubectl_does_what_the_pages_say(shop: Shop, tmp_path: Path) -> None:
    """Block by block, each on a fulfilled order of its own, by a shell; the Session that a page greps for is there."""
    kubectl = tmp_path / "kubectl"
    kubeconfig = shop.control_plane.kubeconfigs[User.ADMIN]
    kubectl.write_text(
        f'#!/bin/sh\nexec {shop.control_plane.kubectl} --kubeconfig={kubeconfig} --namespace={shop.namespace} "$@"\n',
        encoding="utf-8",
    )
    kubectl.chmod(0o755)
    async with at_work(shop):
        names = [await shop.sell(Order()) for _ in KUBECTL]
        sessions = [(await shop.becomes(name, Phase.FULFILLED)).spec.session.id for name in names]
    failed = []
    for name, session, block in zip(names, sessions, KUBECTL, strict=True):
        for line in block:
            command = re.sub(r"\bcs-[a-z2-7]{26}\b|\bNAME\b", name, re.sub(r"\bcs_test_\w+", session, line))
            shell = await asyncio.create_subprocess_exec(
                *("sh", "-c", command),
                env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
                stdout=PIPE,
                stderr=PIPE,
            )
            _, errors = await shell.communicate()
            if shell.returncode:
                failed.append((line, errors.decode()))
    assert len(KUBECTL) > 6
    assert failed == []


def ours() -> Iterator[str]:
    for page in OURS:
        for block in _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
            for line in block.splitlines():
                if found := re.search(r"(?<![-/\w])(?<!kubectl )(?:\.venv/bin/)?fulfillment (?=[a-z])(.*)", line):
                    yield found[1]


@pytest.mark.parametrize("line", sorted(set(ours())))
def test_our_commands_take_the_arguments_that_the_pages_give(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which others tests try what they do: no option has gone, and no argument is of another form."""
    monkeypatch.chdir(tmp_path)
    for name in ("orders.jsonl", "session.json", "event.json"):
        Path(name).touch()
    words = shlex.split(re.split(r" [|>] ", line)[0], comments=True)
    context = click.Context(fulfillment)
    command = fulfillment.get_command(context, words[0])
    assert command is not None
    command.make_context(words[0], words[1:], parent=context).close()
