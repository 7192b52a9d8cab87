"""`fulfillment export`: writes FulfillmentRequests as JSON lines, for those who keep books elsewhere."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import click
import durationpy
import msgspec
from kubernetes.aio import client
from msgspec import UNSET, Raw, Struct, UnsetType

from fulfillment_api.status import Phase
from fulfillment_runtime.exits import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.kubernetes_errors import ApiDeniedError, KubernetesError, NotInstalledError
from fulfillment_runtime.kubernetes_listing import Listed, pages
from fulfillment_runtime.settings import WorkloadSettings, load_settings

_PAGE_TIMEOUT = 60.0  # seconds
_DURATION = re.compile(r"[0-9.]+[a-zµ]")


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Read a time, or a duration back from now."""
    if value is None:
        return None
    try:
        if _DURATION.match(value):
            return datetime.now(UTC) - timedelta(seconds=durationpy.from_str(value).total_seconds())
        told = datetime.fromisoformat(value)
    except (ValueError, OverflowError, durationpy.DurationError):
        raise click.BadParameter(
            f"{value!r} is neither a time, such as 2026-11-01, nor a duration, such as 24h", ctx, param
        ) from None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


@click.command()
@click.option(
    "--since",
    callback=_time,
    metavar="TIME",
    help="Leave out what has not changed since: RFC 3339, a date (midnight UTC), or a duration such as 24h.",
)
@click.option(
    "--phase",
    "phases",
    type=click.Choice([phase.value for phase in Phase]),
    multiple=True,
    help="Only orders in this phase; may be given several times.",
)
def command(*, since: datetime | None, phases: tuple[str, ...]) -> None:
    """Write orders as JSON lines to standard output.

    It reads FULFILLMENT_NAMESPACE and KUBECONFIG as the workloads do, and may list fulfillmentrequests.
    """
    settings = load_settings(WorkloadSettings, os.environ)
    output = sys.stdout.buffer

    async def run() -> None:
        async with connect(settings.kubeconfig, connections=1) as api:
            wanted = tuple(Phase(phase) for phase in dict.fromkeys(phases)) or (None,)
            async for line in lines(api, settings.namespace, phases=wanted, since=since):
                output.write(line)
                output.write(b"\n")
        output.flush()

    try:
        asyncio.run(run())
    except ApiDeniedError as error:
        raise AccessDeniedError(str(error)) from error
    except NotInstalledError as error:
        raise SettingsError(str(error)) from error
    except KubernetesError as error:
        raise UnavailableError(f"{error}; what was written so far is not all") from error
    except BrokenPipeError:  # who reads has enough, as `head`
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # else Python tries what is left again at its end
        raise UnavailableError(f"standard output cannot be written: {error.strerror}; it is not all there") from error


async def lines(
    api: client.ApiClient, namespace: str, *, phases: tuple[Phase | None, ...], since: datetime | None
) -> AsyncIterator[bytes]:
    """Give one JSON object for each request.

    Args:
        api: as whom.
        namespace: where.
        phases: in which phases; None is for all.
        since: leaves out what has not changed since; a request that makes no sense is never left out.

    Raises:
        KubernetesError: as `KubernetesApi`'s methods do.
    """
    for phase in phases:
        async for page in pages(api, namespace, phase=phase, patience=_PAGE_TIMEOUT):
            for listed in page:
                if since is None or listed.request is None or listed.request.last_changed_at >= since:
                    yield _line(listed)


def _line(listed: Listed) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(listed.content, type=_Exported))


class _Metadata(Struct, rename="camel", omit_defaults=True):
    """What identifies and describes a request; not what the API server keeps books of, such as managed fields."""

    name: str
    namespace: str
    uid: str
    creation_timestamp: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Exported(Struct, rename="camel", omit_defaults=True):
    api_version: str
    kind: str
    metadata: _Metadata
    spec: Raw
    status: Raw | UnsetType = UNSET
