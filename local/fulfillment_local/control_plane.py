"""Runs a real Kubernetes API server on this machine: etcd and kube-apiserver, with nothing of a cluster behind them.

Objects are stored, validated, guarded by RBAC and watched as in any cluster. There is no controller manager: nothing
finishes the deletion of a namespace, collects garbage, or runs a pod.
"""

import asyncio
import base64
import secrets
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from socket import SO_REUSEPORT, SOL_SOCKET, socket
from typing import Any, Self

import aiohttp
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_local.credentials import HOST, Credentials, User, make_credentials, write_kubeconfig
from fulfillment_local.processes import Child, wait_until_ready
from fulfillment_local.programs import Programs

_READY_WITHIN = 180.0  # seconds; it takes about 2, and on a busy machine a hundred; one that ended is told of at once
_EFFECTIVE_WITHIN = 60.0  # seconds until it goes by a new rule or definition; it takes milliseconds
_ASK_AGAIN_AFTER = 0.02  # seconds

_RBAC = "rbac.authorization.k8s.io"


class ControlPlane:
    """A Kubernetes API server with its etcd, made by `ControlPlane.running`."""

    def __init__(self, programs: Programs, folder: Path, port: int) -> None:
        credentials = make_credentials(folder)
        self.server = f"https://{HOST}:{port}"
        """The API server's URL."""
        self.ca = credentials.ca
        """The certificate to verify the API server's by."""
        self.kubectl = programs.kubectl
        self.kubeconfigs = {
            user: write_kubeconfig(folder / f"{user}.kubeconfig", credentials, self.server, user) for user in User
        }
        self._tokens = credentials.tokens
        self._etcd_data = folder / "etcd"
        self._etcd_socket = _etcd_socket(folder)
        self._etcd = Child(programs.etcd, _etcd_arguments(folder), folder / "etcd.log")
        self._api_server = Child(
            programs.kube_apiserver, _api_server_arguments(folder, port, credentials), folder / "kube-apiserver.log"
        )

    @classmethod
    @asynccontextmanager
    async def running(cls, programs: Programs) -> AsyncIterator[Self]:
        """Start etcd and the API server, wait until they are ready, and stop both in the end.

        Raises:
            UnavailableError: one of them does not start; with the last lines it wrote.
        """
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="control-plane-")))
            control_plane = cls(programs, folder, stack.enter_context(_reserved_port()))
            await control_plane._etcd.start()
            stack.push_async_callback(control_plane._etcd.stop)
            await control_plane._api_server.start()
            stack.push_async_callback(control_plane._kill_api_server)
            await control_plane._ready()
            yield control_plane

    @property
    def api_server_pid(self) -> int:
        """The id of the API server's process."""
        return self._api_server.pid

    @asynccontextmanager
    async def connect(self, user: User = User.ADMIN) -> AsyncIterator[client.ApiClient]:
        """Connect with the Kubernetes client library, as with the user's kubeconfig."""
        configuration = client.Configuration(host=self.server, api_key={"BearerToken": f"Bearer {self._tokens[user]}"})
        configuration.ssl_ca_cert = str(self.ca)
        async with client.ApiClient(configuration) as api:
            yield api

    async def grant(self, user: User, namespace: str, rules: Sequence[client.V1PolicyRule]) -> None:
        """Allow a user something in a namespace, and wait until the API server goes by it.

        Args:
            user: who may.
            namespace: where.
            rules: at least one, for named resources of an API group.
        """
        name = f"{user}-{secrets.token_hex(4)}"  # a further grant adds to this one
        metadata = client.V1ObjectMeta(name=name)
        role = client.V1RoleRef(api_group=_RBAC, kind="Role", name=name)
        subject = client.RbacV1Subject(api_group=_RBAC, kind="User", name=user)
        async with self.connect() as api:
            rbac = client.RbacAuthorizationV1Api(api)
            await rbac.create_namespaced_role(namespace, client.V1Role(metadata=metadata, rules=list(rules)))
            binding = client.V1RoleBinding(metadata=metadata, role_ref=role, subjects=[subject])
            await rbac.create_namespaced_role_binding(namespace, binding)
            async with asyncio.timeout(_EFFECTIVE_WITHIN):
                while not await _allowed(api, user, namespace, rules[0]):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(_ASK_AGAIN_AFTER)

    async def install(self, definition: Mapping[str, Any]) -> None:
        """Install a CustomResourceDefinition, and wait until the API server serves it.

        `kubectl wait --for=condition=Established` fails at once while the API server has not written any condition.
        """
        async with self.connect() as api:
            definitions = client.ApiextensionsV1Api(api)
            body: Any = definition  # the library's type has no way to be made of one
            made = await definitions.create_custom_resource_definition(body)
            async with asyncio.timeout(_EFFECTIVE_WITHIN):
                while not _established(made):
                    await asyncio.sleep(_ASK_AGAIN_AFTER)
                    made = await definitions.read_custom_resource_definition(definition["metadata"]["name"])

    async def stored(self, plural: str, namespace: str, name: str) -> bytes:
        """Read what etcd holds of a custom object: JSON, as the API server wrote it.

        Raises:
            LookupError: it holds none of this name.
        """
        key = base64.b64encode(f"/registry/{names.GROUP}/{plural}/{namespace}/{name}".encode()).decode()
        connector = aiohttp.UnixConnector(str(self._etcd_socket))
        async with (
            aiohttp.ClientSession("http://etcd", connector=connector, raise_for_status=True) as session,
            session.post("/v3/kv/range", json={"key": key}) as answer,  # its gRPC gateway
        ):
            found = (await answer.json()).get("kvs", [])
        if not found:
            raise LookupError(f"etcd holds no {plural} {namespace}/{name}")
        return base64.b64decode(found[0]["value"])

    def hanging(self) -> AbstractContextManager[None]:
        """Let the API server hang: it takes connections, and answers nothing."""
        return self._api_server.suspended()

    def etcd_hanging(self) -> AbstractContextManager[None]:
        """Let etcd hang: the API server takes requests, and cannot do them."""
        return self._etcd.suspended()

    async def compact(self) -> None:
        """Let etcd forget which changes there were: who watches since an older one is told 410 Gone."""
        connector = aiohttp.UnixConnector(str(self._etcd_socket))
        async with aiohttp.ClientSession("http://etcd", connector=connector, raise_for_status=True) as session:
            async with session.post("/v3/kv/range", json={"key": base64.b64encode(b"/").decode()}) as answer:
                revision = (await answer.json())["header"]["revision"]
            async with session.post("/v3/kv/compaction", json={"revision": revision, "physical": True}):
                pass

    @asynccontextmanager
    async def down(self, *, in_order: bool = False) -> AsyncIterator[None]:
        """End the API server; then start it again at the same address, with all that it held.

        Args:
            in_order: tell it to stop, and give it the time that `Child.stop` gives; else it is killed, as by a crash.
        """
        await (self._api_server.stop() if in_order else self._kill_api_server())
        try:
            yield
        finally:
            await self._api_server.start()
            await self._ready()

    @asynccontextmanager
    async def forgetting(self) -> AsyncIterator[None]:
        """Back etcd up; in the end put it back, so that what was written meanwhile never was."""
        backup = self._etcd_data.with_name("etcd-backup")
        async with self.down():
            await self._etcd.stop()
            await asyncio.to_thread(shutil.copytree, self._etcd_data, backup)
            await self._etcd.start()
        try:
            yield
        finally:
            async with self.down():
                await self._etcd.stop()
                await asyncio.to_thread(shutil.rmtree, self._etcd_data)
                backup.rename(self._etcd_data)
                await self._etcd.start()

    async def _kill_api_server(self) -> None:
        """End it as a crash does: etcd has all that it knows, and an end in good order waits 60 s for open watches."""
        await self._api_server.kill()

    async def _ready(self) -> None:
        await wait_until_ready(self._answering(), self._etcd, self._api_server, within=_READY_WITHIN)

    async def _answering(self) -> None:
        verify = ssl.create_default_context(cafile=self.ca)
        headers = {"Authorization": f"Bearer {self._tokens[User.ADMIN]}"}
        async with aiohttp.ClientSession(self.server, headers=headers) as session:
            while True:
                with suppress(aiohttp.ClientConnectionError):  # it does not listen yet
                    async with session.get("/readyz", ssl=verify) as response:
                        if response.status == HTTPStatus.OK:
                            return
                await asyncio.sleep(_ASK_AGAIN_AFTER)


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Find a free port and keep it: only a process of this user that asks to share it can listen there."""
    with socket() as holder:
        holder.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def _etcd_socket(folder: Path) -> Path:
    return folder / "etcd.sock"


def _etcd_url(folder: Path) -> str:
    return f"unix://{_etcd_socket(folder)}"  # no port that another program could take, or another user reach


def _etcd_arguments(folder: Path) -> list[str]:
    unused = "http://127.0.0.1:1"  # nobody is to find this one, or to join it
    return [
        f"--data-dir={folder}/etcd",
        "--unsafe-no-fsync",  # the data dies with this process
        "--log-level=warn",
        f"--listen-client-urls={_etcd_url(folder)}",
        f"--advertise-client-urls={unused}",
        "--listen-peer-urls=http://127.0.0.1:0",
        f"--initial-advertise-peer-urls={unused}",
        f"--initial-cluster=default={unused}",
        "--heartbeat-interval=50",  # there is nobody to beat for: five times as often is 1 % of a core
        "--election-timeout=250",  # ms, after which a lone member elects itself: a second by default
    ]


def _api_server_arguments(folder: Path, port: int, credentials: Credentials) -> list[str]:
    return [
        f"--etcd-servers={_etcd_url(folder)}",
        f"--bind-address={HOST}",
        f"--secure-port={port}",
        "--permit-port-sharing",  # with the socket that holds the port
        f"--advertise-address={HOST}",  # else it looks for a route out of this machine
        "--endpoint-reconciler-type=none",  # which would refuse a loopback address
        f"--tls-cert-file={credentials.server_certificate}",
        f"--tls-private-key-file={credentials.server_key}",
        f"--token-auth-file={credentials.token_file}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={credentials.service_account_key}",
        f"--service-account-signing-key-file={credentials.service_account_key}",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]


def _established(definition: client.V1CustomResourceDefinition) -> bool:
    conditions = (definition.status.conditions if definition.status else None) or []
    return any(each.type == "Established" and each.status == "True" for each in conditions)


async def _allowed(api: client.ApiClient, user: User, namespace: str, rule: client.V1PolicyRule) -> bool:
    """Ask whether a user may do the first of what a rule allows."""
    resource, _, subresource = (rule.resources or [""])[0].partition("/")
    attributes = client.V1ResourceAttributes(
        namespace=namespace,
        group=(rule.api_groups or [""])[0],
        resource=resource,
        subresource=subresource or None,
        verb=rule.verbs[0],
        name=rule.resource_names[0] if rule.resource_names else None,
    )
    review = client.V1SubjectAccessReview(
        spec=client.V1SubjectAccessReviewSpec(user=user, resource_attributes=attributes)
    )
    answer = await client.AuthorizationV1Api(api).create_subject_access_review(review)
    return answer.status is not None and answer.status.allowed
