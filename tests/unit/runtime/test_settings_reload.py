"""Settings in files are read again when the files change, as the kubelet changes mounted Secrets."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest
from click import ClickException
from structlog.testing import capture_logs

from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.settings import load_settings
from fulfillment_runtime.settings_reload import settings_changes
from fulfillment_service.settings import ServiceSettings
from support.kubelet import MountedVolume


@pytest.fixture
def secret(tmp_path: Path) -> MountedVolume:
    return MountedVolume(tmp_path, {"api-key": "sk_test_first\n"})


def changes(
    secret: MountedVolume,
    check: Callable[[OperatorSettings], Awaitable[None]] | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[OperatorSettings]:
    load, environ = partial(load_settings, OperatorSettings), {"STRIPE_API_KEY_FILE": str(secret.folder / "api-key")}
    return settings_changes(load, {**environ, **others}, load(environ), check=check, interval=0.01)


async def test_a_changed_secret_is_taken(secret: MountedVolume) -> None:
    """The settings come anew, as a whole."""
    waiting = asyncio.ensure_future(anext(changes(secret)))
    await asyncio.sleep(0)  # it has read the file as it is
    secret.change({"api-key": "rk_live_second\n"})
    settings = await asyncio.wait_for(waiting, 60)
    assert settings.stripe_api_key == "rk_live_second"
    assert settings.key_is_live is True


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "FULFILLMENT_HTTP_SECRET_FILE"])
async def test_a_change_of_what_is_read_beside_them_is_taken(secret: MountedVolume, tmp_path: Path, name: str) -> None:
    """Whom TLS trusts, and the settings of backends."""
    file = tmp_path / "other"
    file.write_text("before")
    waiting = asyncio.ensure_future(anext(changes(secret, others={name: str(file)})))
    await asyncio.sleep(0)
    file.write_text("after")
    assert (await asyncio.wait_for(waiting, 60)).stripe_api_key == "sk_test_first"


async def test_a_pipe_is_read_once(secret: MountedVolume, tmp_path: Path) -> None:
    """As a shell makes one of `<(…)`: to read it again would block the process."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = asyncio.ensure_future(anext(changes(secret, others={"FULFILLMENT_HTTP_SECRET_FILE": str(pipe)})))
    await asyncio.sleep(0)
    secret.change({"api-key": "sk_test_second\n"})
    assert (await asyncio.wait_for(waiting, 60)).stripe_api_key == "sk_test_second"


async def test_a_wrong_secret_is_passed_over(secret: MountedVolume) -> None:
    """What is wrong is told, and the process goes on until it is mended."""
    waiting = asyncio.ensure_future(anext(changes(secret)))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        secret.change({"api-key": "pk_test_public\n"})
        async with asyncio.timeout(60):
            while not logs:  # noqa: ASYNC110 - a log line is no event that could be awaited
                await asyncio.sleep(0.01)
        secret.change({"api-key": "sk_test_third\n"})
        settings = await asyncio.wait_for(waiting, 60)
    assert settings.stripe_api_key == "sk_test_third"
    assert logs[0]["event"] == "settings.not_reloaded"
    assert "STRIPE_API_KEY (stripe.existingSecret) is no secret key" in logs[0]["message"]


async def test_what_changed_while_the_process_began_is_taken(secret: MountedVolume) -> None:
    """Between the first reading and the first look nothing is missed, however short that is."""
    changed = changes(secret)
    secret.change({"api-key": "rk_live_second\n"})
    assert (await asyncio.wait_for(anext(changed), 60)).stripe_api_key == "rk_live_second"


@pytest.mark.parametrize(
    ("failures", "logged"),
    [
        ([SettingsError("no")], ["no"]),
        ([AccessDeniedError("no"), AccessDeniedError("no")], ["no"]),
        ([UnavailableError("later"), SettingsError("no")], ["later", "no"]),
    ],
    ids=["wrong", "denied, twice", "unavailable, and then wrong"],
)
async def test_settings_that_cannot_be_worked_with_are_tried_again(
    secret: MountedVolume, failures: list[ClickException], logged: list[str]
) -> None:
    """Whatever kept them from it may pass by itself, and is told once; the process goes on with what it has."""
    left = iter(failures)

    async def check(_settings: OperatorSettings) -> None:
        failure = next(left, None)
        if failure is not None:
            raise failure

    waiting = asyncio.ensure_future(anext(changes(secret, check)))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        secret.change({"api-key": "sk_test_second\n"})
        settings = await asyncio.wait_for(waiting, 60)
    assert settings.stripe_api_key == "sk_test_second"
    assert next(left, None) is None
    assert [each.get("message") for each in logs] == [*logged, None]


async def test_settings_that_were_refused_are_tried_at_once_when_they_change(secret: MountedVolume) -> None:
    """Nobody waits for what is mended."""
    tried: list[str] = []

    async def check(settings: OperatorSettings) -> None:
        tried.append(settings.stripe_api_key)
        if settings.stripe_api_key == "sk_test_second":
            secret.change({"api-key": "sk_test_third\n"})
            raise SettingsError("no")

    waiting = asyncio.ensure_future(anext(changes(secret, check)))
    await asyncio.sleep(0)
    secret.change({"api-key": "sk_test_second\n"})
    assert (await asyncio.wait_for(waiting, 60)).stripe_api_key == "sk_test_third"
    assert tried == ["sk_test_second", "sk_test_third"]


@pytest.mark.parametrize(
    "after",
    [{"a": "whsec_1", "b": "whsec_3"}, {"a": "whsec_1"}, {"a": "whsec_1", "b": "whsec_2", "c": "whsec_4"}],
    ids=["one changes", "one goes", "one comes"],
)
async def test_a_changed_folder_is_taken(tmp_path: Path, after: dict[str, str]) -> None:
    """Secrets that are projected side by side come anew when one of them changes."""
    volume = MountedVolume(tmp_path, {"a": "whsec_1", "b": "whsec_2"})
    load, environ = partial(load_settings, ServiceSettings), {"STRIPE_WEBHOOK_SECRETS_FILE": str(volume.folder)}
    settings = settings_changes(load, environ, load(environ), interval=0.01)
    waiting = asyncio.ensure_future(anext(settings))
    await asyncio.sleep(0)  # it has read the folder as it is
    volume.change(after)
    changed = await asyncio.wait_for(waiting, 60)
    assert changed.webhook_secrets == tuple(after.values())
