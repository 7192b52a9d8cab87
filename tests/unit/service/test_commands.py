"""What the service's commands load before they run anything."""

import subprocess
import sys

import pytest

CLIENT_LIBRARIES = {"aiohttp", "kubernetes", "litestar", "stripe", "uvicorn"}


@pytest.mark.parametrize("module", ["command", "recovery.command", "check_config"])
def test_a_command_reads_its_settings_before_it_loads_what_it_runs(module: str) -> None:
    """So a mistake in them, and an offline check, is answered at once."""
    code = f"import sys, fulfillment_service.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert not CLIENT_LIBRARIES & {*loaded.stdout.split()}
