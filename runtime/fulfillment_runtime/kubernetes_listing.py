"""FulfillmentRequests, however many, page by page: only one page is held at a time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Raw, Struct, field

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_runtime.kubernetes_errors import translated_errors

PAGE = 500
"""Requests at once: some megabytes."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A request as it was listed."""

    content: Raw
    """All that the API server has of it, as JSON."""
    request: FulfillmentRequest | None
    """The same, typed; None when it was made by hand and makes no sense."""


async def pages(  # noqa: PLR0913 - where, which, and how patiently
    api: client.ApiClient,
    namespace: str,
    *,
    phase: Phase | None,
    also: str | None = None,
    patience: float,
    limit: int = PAGE,
) -> AsyncIterator[list[Listed]]:
    """List the requests of a namespace in the order of their names.

    A page that is asked for minutes after the one before may show newer state than that (Kubernetes, "Retrieving large
    results sets in chunks"): no request is left out, and none is listed twice.

    Args:
        api: as whom.
        namespace: where.
        phase: only those in this phase; None for all.
        also: a further field selector; None for all.
        patience: seconds that one page may take.
        limit: how many a page holds at most.

    Raises:
        KubernetesError: as `KubernetesApi`'s methods do.
    """
    options: dict[str, Any] = {"limit": limit, "_request_timeout": patience}
    selectors = [*([f"status.phase={phase}"] if phase is not None else []), *([also] if also is not None else [])]
    if selectors:
        options["field_selector"] = ",".join(selectors)
    further = ""
    while True:
        page = await _page(api, namespace, options | ({"_continue": further} if further else {}))
        yield [Listed(each, _typed(each)) for each in page.items]
        further = page.metadata.further
        if not further:
            return


async def _page(api: client.ApiClient, namespace: str, options: dict[str, Any]) -> "_Page":
    with translated_errors():
        answer = await client.CustomObjectsApi(api).list_namespaced_custom_object_without_preload_content(
            group=names.GROUP, version=names.VERSION, namespace=namespace, plural=names.PLURAL, **options
        )
        body = await answer.read()
        if answer.status == HTTPStatus.GONE and (resumption := _resumption(body)):
            return resumption
        if answer.status != HTTPStatus.OK:
            raise ApiException(status=answer.status, reason=answer.reason, body=body.decode())
    return msgspec.json.decode(body, type=_Page)


def _resumption(body: bytes) -> "_Page | None":
    """Read what the API server offers to go on with in newer state, when the state that was listed is gone."""
    try:
        page = msgspec.json.decode(body, type=_Page)
    except msgspec.DecodeError:
        return None
    return page if page.metadata.further else None


def _typed(content: Raw) -> FulfillmentRequest | None:
    try:
        return msgspec.json.decode(content, type=FulfillmentRequest)
    except msgspec.ValidationError:
        return None


class _ListMeta(Struct):
    """metav1.ListMeta, as far as it is read."""

    further: str = field(default="", name="continue")


class _Page(Struct):
    items: list[Raw] = []
    metadata: _ListMeta = field(default_factory=_ListMeta)
