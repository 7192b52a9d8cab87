import asyncio
import os
import signal
import ssl
import sys
import tempfile
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.programs import Programs, find_programs
from fulfillment_runtime.fatal_errors import UnavailableError

CREATE_CONFIGMAPS = client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["create"])


async def test_kubectl_uses_it_with_the_kubeconfig(control_plane: ControlPlane, namespace: str) -> None:
    """The kubectl and the kubeconfig that it names work together, as the user who may do everything."""
    answer = await kubectl(control_plane, User.ADMIN, "auth", "can-i", "*", "*", "--namespace", namespace)

    assert answer == "yes"


async def test_clients_verify_its_certificate(control_plane: ControlPlane) -> None:
    """Its certificate holds for those who have its CA, and for nobody else."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{control_plane.server}/livez")
        async with session.get(
            f"{control_plane.server}/livez", ssl=ssl.create_default_context(cafile=control_plane.ca)
        ) as response:
            assert await response.text() == "ok"


async def test_a_user_may_do_nothing_at_first(control_plane: ControlPlane, namespace: str) -> None:
    """A user without a grant is known, and forbidden everything."""
    assert await status_of_creating_a_configmap(control_plane, User.NOBODY, namespace) == 403


async def test_a_grant_holds_at_once_and_no_further(control_plane: ControlPlane, namespace: str) -> None:
    """A granted rule holds when `grant` returns: for that user, that namespace and that verb alone."""
    await control_plane.grant(User.SERVICE, namespace, [CREATE_CONFIGMAPS])

    assert await status_of_creating_a_configmap(control_plane, User.SERVICE, namespace) == 201
    assert await status_of_creating_a_configmap(control_plane, User.SERVICE, "default") == 403
    assert await status_of_creating_a_configmap(control_plane, User.OPERATOR, namespace) == 403
    async with control_plane.connect(User.SERVICE) as api:
        with pytest.raises(ApiException, match="cannot list resource"):
            await client.CoreV1Api(api).list_namespaced_config_map(namespace)


async def test_grants_add_up(control_plane: ControlPlane, namespace: str) -> None:
    """A second grant leaves the first one as it is."""
    list_pods = client.V1PolicyRule(api_groups=[""], resources=["pods"], verbs=["list"])
    await control_plane.grant(User.SERVICE, namespace, [CREATE_CONFIGMAPS])
    await control_plane.grant(User.SERVICE, namespace, [list_pods])

    assert await status_of_creating_a_configmap(control_plane, User.SERVICE, namespace) == 201
    assert await kubectl(control_plane, User.SERVICE, "get", "pods", "--namespace", namespace, "--output=name") == ""


async def test_it_hangs_and_goes_on(control_plane: ControlPlane, namespace: str) -> None:
    """While it hangs a request is not answered; afterwards one is."""
    async with control_plane.connect() as api:
        core = client.CoreV1Api(api)
        with control_plane.hanging(), pytest.raises(TimeoutError):
            await core.list_namespaced_config_map(namespace, _request_timeout=0.3)

        assert (await core.list_namespaced_config_map(namespace)).items == []


async def test_it_goes_down_and_comes_up_with_what_it_held(control_plane: ControlPlane, namespace: str) -> None:
    """While it is down connections are refused; afterwards it is at the same address, and its objects are there."""
    assert await status_of_creating_a_configmap(control_plane, User.ADMIN, namespace) == 201

    async with control_plane.down(), control_plane.connect() as api:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.CoreV1Api(api).list_namespaced_config_map(namespace)

    async with control_plane.connect() as api:
        found = await client.CoreV1Api(api).list_namespaced_config_map(namespace)
    assert [each.metadata and each.metadata.name for each in found.items] == ["some"]


async def test_a_program_that_dies_is_told_of_at_once(tmp_path: Path) -> None:
    """A control plane that cannot start says which program ended, how, and what it said last."""
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho 'the flag is wrong'\nexit 3\n")
    broken.chmod(0o755)
    programs = replace(find_programs(os.environ), kube_apiserver=broken)

    with pytest.raises(UnavailableError) as failure:
        async with ControlPlane.running(programs):
            pass

    assert failure.value.message == "kube-apiserver ended (exit code 3):\nthe flag is wrong"


async def test_a_program_that_is_not_there_is_named() -> None:
    """A program that cannot be executed is named."""
    programs = Programs(etcd=Path("/nowhere/etcd"), kube_apiserver=Path("kube-apiserver"), kubectl=Path("kubectl"))

    with pytest.raises(UnavailableError, match=r"/nowhere/etcd cannot be executed"):
        async with ControlPlane.running(programs):
            pass


RUN_UNTIL_STOPPED = """
import asyncio, os, pathlib, signal
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import find_programs

async def main():
    async with ControlPlane.running(find_programs(os.environ)):
        print(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
        await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
async def test_nothing_is_left_running(end: signal.Signals) -> None:
    """Neither etcd nor the API server outlives the process that started them, however that ends."""
    with tempfile.TemporaryDirectory() as folder:  # where one that is killed leaves its files
        starter = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN_UNTIL_STOPPED),
            env={**os.environ, "TMPDIR": folder},
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        assert starter.stdout
        children = [os.pidfd_open(int(pid)) for pid in (await starter.stdout.readline()).split()]

        os.killpg(starter.pid, end)  # as a terminal does
        _, said = await starter.communicate()

        assert starter.returncode == -end, said
        assert len(children) == 2
        async with asyncio.timeout(60):
            for child in children:
                await ended(child)


async def ended(pidfd: int) -> None:
    """Wait until a process is no more, and close the descriptor."""
    gone = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(pidfd, gone.set_result, None)
    try:
        await gone
    finally:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)


async def kubectl(control_plane: ControlPlane, user: User, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        control_plane.kubectl, "--kubeconfig", control_plane.kubeconfigs[user], *arguments, stdout=PIPE, stderr=PIPE
    )
    answer, complaint = await process.communicate()
    assert process.returncode == 0, complaint
    return answer.decode().strip()


async def status_of_creating_a_configmap(control_plane: ControlPlane, user: User, namespace: str) -> int:
    """Create the ConfigMap `some`, and return the HTTP status of the answer."""
    config_map = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="some"))
    async with control_plane.connect(user) as api:
        try:
            await client.CoreV1Api(api).create_namespaced_config_map(namespace, config_map)
        except ApiException as error:
            status: int = error.status
            return status
    return 201
