"""The API server as anyone may speak with it: plain requests, its counters, a watch; and etcd beneath it."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.accounting import cpu_seconds
from benchmarks.sender import Shot
from fulfillment_api.names import API_VERSION, PLURAL
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User

MERGE_PATCH = "application/merge-patch+json"

_CREATED = (HTTPStatus.OK, HTTPStatus.CREATED)


class ApiError(Exception):
    """The API server, or etcd, refused; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Writes:
    """What the API server has counted since it started (`apiserver_request_total`)."""

    creates: float
    """Of FulfillmentRequests."""
    status_patches: float
    events: float
    """Events that were created or changed."""

    def since(self, before: "Writes") -> "Writes":
        """Return what was counted between two moments."""
        return Writes(
            creates=self.creates - before.creates,
            status_patches=self.status_patches - before.status_patches,
            events=self.events - before.events,
        )


class _User(msgspec.Struct, frozen=True):
    token: str


class _NamedUser(msgspec.Struct, frozen=True):
    user: _User


class _Kubeconfig(msgspec.Struct, frozen=True):
    users: list[_NamedUser]


class _Session(msgspec.Struct, frozen=True):
    id: str


class _Spec(msgspec.Struct, frozen=True):
    session: _Session


class _Watched(msgspec.Struct, frozen=True):
    spec: _Spec


class _WatchEvent(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


@dataclass(frozen=True, slots=True)
class EtcdEntry:
    """A key of etcd's, and what is stored under it."""

    key: str
    value: bytes
    expires: bool
    """Whether a lease ends it."""


class ApiServer:
    """The API server of a control plane, spoken with as its administrator."""

    def __init__(self, control_plane: ControlPlane, http: aiohttp.ClientSession) -> None:
        """Take a connection that verifies the control plane's certificate."""
        self._control_plane = control_plane
        self._http = http
        kubeconfig = control_plane.kubeconfigs[User.ADMIN]
        user = msgspec.json.decode(kubeconfig.read_bytes(), type=_Kubeconfig).users[0].user
        self._headers = {"Authorization": f"Bearer {user.token}"}
        self._etcd = kubeconfig.with_name("etcd.sock")

    def cpu_seconds(self) -> float:
        """Return the CPU time of its process."""
        return cpu_seconds(self._control_plane.api_server_pid)

    def shot(self, method: str, path: str, body: str) -> Shot:
        """Make a request for the sender."""
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        return Shot(
            method=method,
            url=f"{self._control_plane.server}{path}",
            body=body,
            headers=self._headers | {"Content-Type": kind},
        )

    async def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Read JSON.

        Raises:
            ApiError: it is refused.
        """
        return msgspec.json.decode(await self._ask("GET", path))

    async def create(self, path: str, content: Mapping[str, Any]) -> None:
        """Create an object.

        Raises:
            ApiError: it is refused.
        """
        await self._ask("POST", path, msgspec.json.encode(content))

    async def delete(self, path: str) -> None:
        """Delete an object.

        Raises:
            ApiError: it is refused.
        """
        await self._ask("DELETE", path)

    async def writes(self) -> Writes:
        """Read its counters.

        Raises:
            ApiError: it is refused.
        """
        families = text_string_to_metric_families((await self._ask("GET", "/metrics")).decode())
        samples = [each for family in families if family.name == "apiserver_request" for each in family.samples]

        def count(resource: str, subresource: str, verbs: tuple[str, ...]) -> float:
            return sum(
                sample.value
                for sample in samples
                if sample.name == "apiserver_request_total"
                and (sample.labels["resource"], sample.labels["subresource"]) == (resource, subresource)
                and sample.labels["verb"] in verbs
            )

        return Writes(
            creates=count(PLURAL, "", ("POST",)),
            status_patches=count(PLURAL, "status", ("PATCH", "PUT", "APPLY")),
            events=count("events", "", ("POST", "PATCH", "PUT", "APPLY")),
        )

    @asynccontextmanager
    async def fulfilled_sessions(self, namespace: str) -> AsyncIterator[AsyncIterator[str]]:
        """Watch for orders that are fulfilled from now on; each is told by its Session's id.

        Raises:
            ApiError: it is refused, or ended.
        """
        path, chosen = requests_path(namespace), "fieldSelector=status.phase%3Dfulfilled"
        version = (await self.get(f"{path}?{chosen}&limit=1"))["metadata"]["resourceVersion"]
        url = f"{self._control_plane.server}{path}?{chosen}&watch=1&resourceVersion={version}"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._http.get(url, headers=self._headers, timeout=timeout, read_bufsize=2**22) as response:

            async def sessions() -> AsyncIterator[str]:
                async for line in response.content:
                    event = msgspec.json.decode(line, type=_WatchEvent)
                    if event.type == "ADDED":
                        yield msgspec.json.decode(event.object, type=_Watched).spec.session.id
                    elif event.type == "ERROR":
                        raise ApiError(f"the watch of fulfilled orders: {bytes(event.object).decode()}")
                raise ApiError("the watch of fulfilled orders ended")

            yield sessions()

    async def etcd_entries(self) -> list[EtcdEntry]:
        """Read all that etcd has.

        Raises:
            ApiError: it is refused.
        """
        found = await self._ask_etcd("range", {"key": _base64(b"/registry/"), "range_end": _base64(b"/registry0")})
        return [
            EtcdEntry(
                key=base64.b64decode(each["key"]).decode(),
                value=base64.b64decode(each["value"]),
                expires=int(each.get("lease", 0)) != 0,
            )
            for each in found["kvs"]
        ]

    async def etcd_put(self, key: str, value: bytes) -> None:
        """Write into etcd, past the API server, which sees it as any change.

        Raises:
            ApiError: it is refused.
        """
        await self._ask_etcd("put", {"key": _base64(key.encode()), "value": _base64(value)})

    async def _ask_etcd(self, method: str, body: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
        """Ask etcd by its JSON gateway, `POST /v3/kv/…`."""
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._etcd))) as http,
            http.post(f"http://etcd/v3/kv/{method}", json=body) as response,
        ):
            content = await response.read()
            if response.status != HTTPStatus.OK:
                raise ApiError(f"etcd: {response.status}: {content.decode(errors='replace')}")
        return msgspec.json.decode(content)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = self._headers | {"Content-Type": "application/json"}
        async with self._http.request(
            method, f"{self._control_plane.server}{path}", data=body, headers=headers
        ) as response:
            content = await response.read()
            if response.status not in _CREATED:
                raise ApiError(f"{method} {path}: {response.status}: {content.decode(errors='replace')}")
        return content


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def requests_path(namespace: str) -> str:
    """Return where the FulfillmentRequests of a namespace are."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"
