"""Settings in files are read again when the files change, as the kubelet changes mounted Secrets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.reload import settings_changes


class MountedSecret:
    """A Secret's file as the kubelet mounts it: a link to a file in a folder that a link of its own points to."""

    def __init__(self, folder: Path, content: str) -> None:
        self._folder = folder
        self._versions = 0
        self.file = folder / "api-key"
        self.file.symlink_to(folder / "..data" / "api-key")
        self.change(content)

    def change(self, content: str) -> None:
        self._versions += 1
        version = self._folder / f"..version-{self._versions}"
        version.mkdir()
        (version / "api-key").write_text(content)
        link = self._folder / "..new"
        link.symlink_to(version)
        link.replace(self._folder / "..data")


@pytest.fixture
def secret(tmp_path: Path) -> MountedSecret:
    return MountedSecret(tmp_path, "sk_test_first\n")


def changes(secret: MountedSecret) -> AsyncIterator[OperatorSettings]:
    return settings_changes(OperatorSettings, {"STRIPE_API_KEY_FILE": str(secret.file)}, every=0.01)


async def test_a_changed_secret_is_taken(secret: MountedSecret) -> None:
    """The settings come anew, as a whole."""
    waiting = asyncio.ensure_future(anext(changes(secret)))
    await asyncio.sleep(0)  # it has read the file as it is
    secret.change("rk_live_second\n")
    settings = await asyncio.wait_for(waiting, 5)
    assert settings.stripe_api_key == "rk_live_second"
    assert settings.livemode is True


async def test_a_wrong_secret_is_passed_over(secret: MountedSecret) -> None:
    """What is wrong is told, and the process goes on until it is mended."""
    waiting = asyncio.ensure_future(anext(changes(secret)))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        secret.change("pk_test_public\n")
        async with asyncio.timeout(5):
            while not logs:  # noqa: ASYNC110 - a log line is no event that could be awaited
                await asyncio.sleep(0.01)
        secret.change("sk_test_third\n")
        settings = await asyncio.wait_for(waiting, 5)
    assert settings.stripe_api_key == "sk_test_third"
    assert logs[0]["event"] == "settings.not_reloaded"
    assert "STRIPE_API_KEY is no secret key" in logs[0]["message"]
