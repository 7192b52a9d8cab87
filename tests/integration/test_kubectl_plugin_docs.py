"""docs/kubectl-plugin.md: every command does what it says, with no more rights than the page asks for."""

import re
import shlex
from collections.abc import AsyncIterator
from typing import Any

import click
import pytest
import yaml
from kubernetes.aio import client

from fulfillment_api.names import PAUSED
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_cli.main import group
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.builders import CREATED
from support.repository import ROOT
from support.running_operator import Shop, open_shop
from support.running_plugin import Plugin

pytestmark = pytest.mark.usefixtures("crd")

PAGE = (ROOT / "docs/kubectl-plugin.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(kubectl fulfillment .*?)\n```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
NAME = re.compile("cs-[a-z2-7]{26}")


def command(name: str) -> click.Command:
    """Give a command of the plugin's."""
    found = group.get_command(click.Context(group), name)
    assert found
    return found


EXAMPLES = [
    line.removeprefix("  kubectl fulfillment ")
    for name in group.list_commands(click.Context(group))
    for line in (command(name).epilog or "").splitlines()[2:]
]
ENDLESS = [each for each in EXAMPLES if each.startswith("doctor") or "--watch" in each]
DOCTOR = re.findall(r"^kubectl fulfillment doctor .*$", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
BACKUP_PAGE = (ROOT / "docs/backup.md").read_text()
RESTORED = re.findall(r"^kubectl fulfillment .*--dry-run$", BACKUP_PAGE, re.MULTILINE)
(ROLE,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)\n```", PAGE, re.DOTALL))
PAID = Condition(
    type=ConditionType.PAID, status=ConditionStatus.TRUE, reason="Paid", message="", last_transition_time=CREATED
)
STATES = {
    "pause": (Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING),
    "resume": (Phase.AWAITING_PAYMENT, Reason.PAUSED),
    "acknowledge": (Phase.FAILED, Reason.PAYMENT_FAILED),
    "wait": (Phase.FULFILLED, Reason.FULFILLED),
}


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    rules = [client.V1PolicyRule(**{_snake(name): value for name, value in rule.items()}) for rule in ROLE["rules"]]
    await control_plane.grant(User.ALICE, namespace, rules)
    async with open_shop(control_plane, namespace) as shop:
        yield shop


def session_in(words: list[str]) -> str | None:
    """Give the Session that a command line names, or selects by."""
    last_parts = (word.rpartition("=")[2] for word in words)
    return next((part for part in last_parts if part.startswith("cs_test_")), None)


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split(" #")[0].strip())
async def test_every_command_works_with_the_least_rights(shop: Shop, command: str) -> None:
    """On an order that is in the state in which a person asks for it; nothing is complained of."""
    words = shlex.split(command, comments=True)
    session = session_in(words) or "cs_test_1"
    name = await shop.make(session)
    state = "pause" if Phase.AWAITING_PAYMENT in words else words[2]
    phase, reason = STATES.get(state, (Phase.FAILED, Reason.FULFILLMENT_FAILED))
    status = Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[PAID])
    request = await shop.requests.patch_status(name, status)
    if words[2] == "resume":
        await shop.requests.annotate(request, {PAUSED: "a call"})
    asks = ["--wait=0", "--yes"] if words[2] not in {"list", "show", "open", "wait"} else []
    said = await Plugin(shop)(*(name if word == "NAME" else word for word in words[2:]), *asks)
    assert (said.code, said.errors) == (0, "")
    assert said.output


@pytest.mark.parametrize("command", RESTORED, ids=lambda command: command.split()[2])
async def test_what_the_page_on_backups_says_works_with_these_rights_too(shop: Shop, command: str) -> None:
    """Each is shown as a dry run, and finds what it is about."""
    for payment in PaymentStatus:
        name = await shop.make(f"cs_test_{payment}", payment)
        status = Status(
            phase=Phase.FULFILLING, reason=Reason.RESTORED, message="m", observed_generation=1, conditions=[]
        )
        await shop.requests.patch_status(name, status)
    said = await Plugin(shop)(*shlex.split(command)[2:])
    assert (said.code, said.errors) == (0, "")
    assert "would be" in said.output


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if each.split()[0] != "doctor" and "--watch" not in each]
)
async def test_every_example_of_the_help_works(shop: Shop, example: str) -> None:
    """On orders in the state in which a person asks for it; what is behind a pipe is another command."""
    words = shlex.split(example.partition(" | ")[0])
    session = session_in(words) or "cs_test_1"
    name = await shop.make(session)
    phase, reason = STATES.get(words[0], (Phase.FAILED, Reason.FULFILLMENT_FAILED))
    status = Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[PAID])
    request = await shop.requests.patch_status(name, status)
    if words[0] == "resume":
        await shop.requests.annotate(request, {PAUSED: "a call"})
    asks = ["--wait=0", "--yes"] if words[0] not in {"list", "show", "open", "wait"} else []
    asks += ["--print"] if words[0] == "open" else []
    said = await Plugin(shop, User.ADMIN)(*(name if NAME.fullmatch(word) else word for word in words), *asks)
    assert (said.code, said.errors) == (0, "")
    assert name in said.output or "https://" in said.output


@pytest.mark.parametrize("example", ENDLESS)
def test_every_other_example_is_a_command_line(example: str) -> None:
    """These go on for ever, or need an installation: what they do is shown elsewhere."""
    name, *arguments = shlex.split(example)
    assert command(name).make_context(name, arguments).params


def test_every_command_has_examples() -> None:
    """Of its own."""
    assert {each.split()[0] for each in EXAMPLES} == set(group.list_commands(click.Context(group)))


def test_every_command_is_on_the_page() -> None:
    """And each line of the page is one of the plugin's; doctor has a page of its own."""
    assert {"doctor", *(line.split()[2] for line in COMMANDS)} == set(group.list_commands(click.Context(group)))
    assert {tuple(line.split()[:2]) for line in COMMANDS} == {("kubectl", "fulfillment")}


@pytest.mark.parametrize("line", DOCTOR)
def test_doctor_takes_the_arguments_that_its_page_gives(line: str) -> None:
    """tests/integration/test_doctor.py tries what it does with them."""
    name, *arguments = shlex.split(line, comments=True)[2:]
    assert command(name).make_context(name, arguments).params


async def test_who_may_edit_may_post_and_list_events(control_plane: ControlPlane) -> None:
    """Kubernetes' own roles allow it; the chart adds the requests to them."""
    async with control_plane.connect() as api:
        roles = client.RbacAuthorizationV1Api(api)
        verbs: set[Any] = set()
        for name in ("system:aggregate-to-view", "system:aggregate-to-edit"):
            role = await roles.read_cluster_role(name)
            verbs |= {verb for rule in role.rules or [] if "events" in (rule.resources or []) for verb in rule.verbs}
    assert verbs >= {"create", "list"}
