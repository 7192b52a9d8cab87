"""What a command loads before it does anything: a start is mostly imports."""

import subprocess
import sys

import pytest

_HEAVY = {"aiohttp", "aiosmtplib", "jinja2", "kopf", "kubernetes", "litestar", "pydantic", "stripe", "uvicorn"}


def loaded(code: str) -> set[str]:
    """Run a program of its own, and tell which top-level modules it has by then."""
    told = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{each.partition('.')[0] for each in sys.modules}})"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return set(told.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module", ["act_commands", "doctor.command", "kubectl_complete", "list_command", "view_commands", "wait_command"]
)
def test_the_plugin_loads_no_client_library(module: str) -> None:
    """All that any of its commands needs where kubectl is at hand, and its completion."""
    assert not loaded(f"import fulfillment_cli.{module}") & _HEAVY


def test_listing_loads_no_other_command() -> None:
    """Nor YAML, which tells the namespace where a person does not."""
    code = "from fulfillment_cli.main import group\nassert group.get_command(None, 'list')"
    found = loaded(f"{code}\nimport sys\nassert 'fulfillment_cli.act_commands' not in sys.modules")
    assert not found & {*_HEAVY, "durationpy", "rich", "yaml"}


def test_help_loads_no_command() -> None:
    """Neither the command's libraries nor what finds entry points at length."""
    code = "import sys; sys.argv = ['fulfillment', '--help']\nfrom fulfillment_runtime.commands.main import main"
    found = loaded(f"{code}\nmain(standalone_mode=False)")
    assert not found & {*_HEAVY, "asyncio", "email", "msgspec", "zipfile"}


def test_what_it_compares_with_is_loaded_by_the_workloads() -> None:
    """So that a library that is renamed does not pass unseen."""
    code = "import fulfillment_operator.main, fulfillment_service.main"
    assert loaded(code) >= _HEAVY
