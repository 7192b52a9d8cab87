"""FulfillmentRequests as JSON lines."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import BinaryIO

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from fulfillment_api.status import Phase
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.errors import ForbiddenError, KubernetesError, NotInstalledError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.list_watch import ListedRequest
from fulfillment_runtime.progress import progress
from fulfillment_runtime.settings import WorkloadSettings

_PAGE_TIMEOUT = 60.0  # seconds


async def write_json_lines(
    output: BinaryIO, settings: WorkloadSettings, *, phases: tuple[Phase | None, ...], since: datetime | None
) -> int:
    """Write the requests of the cluster at hand, and return how many there were.

    Args:
        output: takes the lines.
        settings: where the requests are.
        phases: as `json_lines`.
        since: likewise.

    Raises:
        SettingsError: there is no Kubernetes API to talk to, or the CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids it.
        UnavailableError: the API server is away; not all was written.
        OSError: the output takes no more.
    """
    count = 0
    try:
        async with connect(settings.kubeconfig, connections=1) as api:
            requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=_PAGE_TIMEOUT)
            with progress("orders") as advance:
                async for line in json_lines(requests, phases=phases, since=since):
                    output.write(line)
                    output.write(b"\n")
                    advance(1)
                    count += 1
    except ForbiddenError as error:
        raise AccessDeniedError(str(error)) from error
    except NotInstalledError as error:
        raise SettingsError(str(error)) from error
    except KubernetesError as error:
        raise UnavailableError(f"{error}; what was written so far is not all") from error
    output.flush()
    return count


async def json_lines(
    requests: FulfillmentRequestClient, *, phases: tuple[Phase | None, ...], since: datetime | None
) -> AsyncIterator[bytes]:
    """Give one JSON object for each request.

    Args:
        requests: where they are.
        phases: in which phases; None is for all.
        since: leaves out what has not changed since; a request that makes no sense is never left out.

    Raises:
        KubernetesError: as `FulfillmentRequestClient`'s methods do.
    """
    for phase in phases:
        async for page in requests.list_pages(phase=phase, timeout=_PAGE_TIMEOUT):
            for listed in page:
                if since is None or listed.request is None or listed.request.last_changed_at >= since:
                    yield _line(listed)


def _line(listed: ListedRequest) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(listed.raw, type=_Exported))


class _Metadata(Struct, rename="camel", omit_defaults=True):
    """What identifies and describes a request; not what the API server keeps books of, such as managed fields."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Exported(Struct, rename="camel", omit_defaults=True):
    api_version: str
    kind: str
    metadata: _Metadata
    spec: Raw
    status: Raw | UnsetType = UNSET
