"""The plugin's way to the cluster: kubectl carries the requests, and is gone when the plugin is."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import web

from fulfillment_cli.kubectl_proxy import kubectl_proxy
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.programs import find_programs
from fulfillment_runtime.fatal_errors import SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, ForbiddenError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.rest import Method
from support.serving import serving

NOBODY_LISTENS = """\
apiVersion: v1
kind: Config
current-context: shop
contexts: [{{name: shop, context: {{cluster: shop, user: alice}}}}]
clusters: [{{name: shop, cluster: {{server: "https://127.0.0.1:9"}}}}]
users: [{{name: alice, user: {user}}}]
"""
LOGIN = "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, interactiveMode: Never}}}}"

OPENED = """\
import asyncio, sys
from fulfillment_cli.kubectl_proxy import kubectl_proxy
async def main():
    async with kubectl_proxy(sys.argv[1], sys.argv[2], None) as api:
        print(api._socket, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def kubectl() -> str:
    return str(find_programs(os.environ).kubectl)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_LISTENS.format(user="{token: t}"))
    return file


def with_login(kubeconfig: Path) -> Path:
    """Let a program log in, which says where a person should, and fails."""
    login = kubeconfig.with_name("login")
    login.write_text("#!/bin/sh\necho open https://login.example >&2\nexit 1\n")
    login.chmod(0o755)
    kubeconfig.write_text(NOBODY_LISTENS.format(user=LOGIN.format(command=login)))
    return kubeconfig


async def test_an_api_server_that_nobody_reaches_is_a_passing_fault(kubectl: str, kubeconfig: Path) -> None:
    """In kubectl's words, and without its log."""
    async with kubectl_proxy(kubectl, str(kubeconfig), None) as api:
        for _ in range(2):  # the connection to kubectl is used again
            with pytest.raises(ApiUnavailableError, match=r"cannot be reached \(dial tcp 127.0.0.1:9: "):
                await api.request(Method.GET, "/version", timeout=10)
        with pytest.raises(ApiUnavailableError, match=r"cannot be reached \(dial tcp 127.0.0.1:9: "):
            async with api.stream("/version", timeout=10):
                pass


async def test_an_api_server_may_have_a_path(kubectl: str, kubeconfig: Path) -> None:
    """As one behind a cluster manager has; the query arrives as it was asked."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path, "query": dict(request.query)})

    async with serving(web.get("/{path:.*}", answer)) as url:
        kubeconfig.write_text(NOBODY_LISTENS.format(user="{}").replace("https://127.0.0.1:9", f"{url}/clusters/c-1"))  # noqa: ASYNC240
        async with kubectl_proxy(kubectl, str(kubeconfig), "shop") as api:
            found = await api.request(Method.GET, "/version", query={"fieldSelector": "a!=b,c=d"}, timeout=30)
    body = b'{"path": "/clusters/c-1/version", "query": {"fieldSelector": "a!=b,c=d"}}'
    assert (found.status, found.body) == (200, body)


async def test_a_person_sees_what_a_login_says_and_not_what_kubectl_logs(
    kubectl: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as where to log in."""
    async with kubectl_proxy(kubectl, str(with_login(kubeconfig)), None) as api:
        with pytest.raises(ApiUnavailableError, match="getting credentials"):
            await api.request(Method.GET, "/version", timeout=10)
    assert set(capsys.readouterr().err.splitlines()) == {"open https://login.example"}  # kubectl may try twice


async def test_a_context_that_is_not_there_is_said_to_be_missing(
    kubectl: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By kubectl, in its own words."""
    with pytest.raises(SettingsError, match="the kubeconfig is wrong: kubectl does not start with it"):
        async with kubectl_proxy(kubectl, str(kubeconfig), "nowhere"):
            pass
    assert "nowhere" in capsys.readouterr().err


async def test_a_hanging_api_server_is_given_up_in_time(kubectl: str, control_plane: ControlPlane) -> None:
    """And the next request is answered."""
    async with kubectl_proxy(kubectl, str(control_plane.kubeconfigs[User.ADMIN]), None) as api:
        with control_plane.hanging(), pytest.raises(ApiUnavailableError, match="did not answer in time"):
            await api.request(Method.GET, "/version", timeout=0.5)
        assert (await api.request(Method.GET, "/version", timeout=30)).is_success


@pytest.mark.usefixtures("crd")
async def test_who_may_not_is_told_so_as_a_watch_begins(
    kubectl: str, control_plane: ControlPlane, namespace: str
) -> None:
    """In the words of the API server."""
    async with kubectl_proxy(kubectl, str(control_plane.kubeconfigs[User.ALICE]), None) as api:
        changes = FulfillmentRequestClient(api, namespace, timeout=10).watch("cs-1", timeout=10)
        with pytest.raises(ForbiddenError, match="cannot watch resource"):
            await anext(changes)


async def test_kubectl_ends_with_the_plugin_however_that_ends(kubectl: str, kubeconfig: Path) -> None:
    """Nobody else can use the login that it has opened, even after a kill."""
    plugin = await asyncio.create_subprocess_exec(sys.executable, "-c", OPENED, kubectl, str(kubeconfig), stdout=PIPE)
    assert plugin.stdout
    path = Path((await plugin.stdout.readline()).decode().strip())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert accepts(path)
    plugin.send_signal(signal.SIGKILL)
    await plugin.wait()
    async with asyncio.timeout(60):
        while accepts(path):  # noqa: ASYNC110 - another process ends
            await asyncio.sleep(0.05)
    shutil.rmtree(path.parent)


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_kubectl_that_hangs_is_given_up(tmp_path: Path, kubeconfig: Path) -> None:
    """As an exec plugin may that waits for a browser; it is ended."""
    hanging, pid = tmp_path / "kubectl", tmp_path / "pid"
    hanging.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n")
    hanging.chmod(0o755)
    with pytest.raises(UnavailableError, match=r"did not start within 2 s: try again, and see whether kubectl answers"):
        async with kubectl_proxy(str(hanging), str(kubeconfig), None, starts_within=2):
            pass
    async with asyncio.timeout(60):
        while runs(pid.read_text().strip()):  # noqa: ASYNC110 - another process ends
            await asyncio.sleep(0.01)
