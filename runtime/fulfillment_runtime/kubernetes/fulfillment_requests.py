"""The FulfillmentRequests of one namespace at the Kubernetes API, with their Events; the operator's watch is kopf's."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from functools import cache
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, Expiry, Payment, RejectedCallback, Reversal, Spec
from fulfillment_api.status import Phase, Status
from fulfillment_runtime.kubernetes.errors import (
    INSTALL,
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    UndecodableError,
    error_of,
)
from fulfillment_runtime.kubernetes.events import ListedEvent, PostedEvent
from fulfillment_runtime.kubernetes.list_watch import (
    Change,
    ListedRequest,
    ListedVersions,
    ListPage,
    PartialObjectMetadata,
    WatchEvent,
    WatchEventType,
)
from fulfillment_runtime.kubernetes.rest import NO_QUERY, MediaType, Method, RestClient

PAGE_SIZE = 500
"""Requests in a page: some megabytes."""
UNFULFILLED = f"status.phase!={Phase.FULFILLED}"
"""The field selector of what is not fulfilled: its cost does not grow with finished orders."""

SpecPatch: TypeAlias = Payment | Callback | RejectedCallback | Reversal | Expiry
"""A field of the spec that is written after the request was created, each by a type of its own."""

_SPEC_FIELDS = {
    Payment: "payment",
    Callback: "callback",
    RejectedCallback: "rejectedCallback",
    Reversal: "reversal",
    Expiry: "expiry",
}
_PAYMENT_INTENT_FIELDS = ("spec.session.paymentIntent", "status.paymentIntent")  # an event's, and Stripe's answer's
_OF_ONE_PAYMENT_INTENT = 10  # requests at most; Stripe gives it to one Session alone
_WATCH_MARGIN = 5.0  # seconds that the API server may be late in ending a watch
_STRICTLY: Mapping[str, str] = MappingProxyType({"fieldValidation": "Strict"})
"""Refuses what the definition does not know; else the API server drops that, and says that all is written."""
_UNKNOWN_FIELD = "strict decoding error: unknown field "
_ENCODER = msgspec.json.Encoder()
_REQUEST_DECODER = msgspec.json.Decoder(FulfillmentRequest)


class FulfillmentRequestClient:
    """FulfillmentRequests of one namespace, typed.

    Every method raises `ApiUnavailableError`, `ForbiddenError` and `NotInstalledError` beside what it names.
    """

    def __init__(self, api: RestClient, namespace: str | None, *, timeout: float) -> None:
        """Make a client.

        Args:
            api: the API server, and as whom.
            namespace: where; None: in every namespace, of which they may be listed and watched alone.
            timeout: seconds that one request to the API server may take, unless a method says otherwise.
        """
        self._api = api
        within = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
        self._path = f"/apis/{names.API_VERSION}/{within}{names.PLURAL}"
        self._events_path = f"/api/v1/{within}events"
        self._timeout = timeout

    async def create(
        self,
        name: str,
        spec: Spec,
        *,
        labels: Mapping[str, str] = MappingProxyType({}),
        annotations: Mapping[str, str] = MappingProxyType({}),
        dry_run: bool = False,
    ) -> None:
        """Create a FulfillmentRequest.

        Args:
            name: the one that its Session gives it.
            spec: what Stripe said.
            labels: name → value.
            annotations: likewise.
            dry_run: whether the API server only says if it would.

        Raises:
            AlreadyExistsError: there is one of this name.
            InvalidError: the CustomResourceDefinition does not allow its content.
        """
        body = _NewRequest(_NewMetadata(name, dict(labels), dict(annotations)), spec)
        query = {"dryRun": "All"} if dry_run else NO_QUERY
        await self._send(Method.POST, self._path, body, query=query, conflict=AlreadyExistsError)

    async def get(self, name: str) -> FulfillmentRequest:
        """Read a FulfillmentRequest.

        Raises:
            NotFoundError: there is none of this name.
            UndecodableError: its content makes no sense.
        """
        return _decoded(name, await self._send(Method.GET, self._path_of(name)))

    async def list_by_payment_intent(self, payment_intent: str) -> list[FulfillmentRequest]:
        """Find the requests whose Session was paid with a PaymentIntent: one, or none, unless some were made by hand.

        Raises:
            UndecodableError: the content of one makes no sense.
        """
        for field in _PAYMENT_INTENT_FIELDS:
            query = {"fieldSelector": f"{field}={payment_intent}", "limit": str(_OF_ONE_PAYMENT_INTENT)}
            page = msgspec.json.decode(await self._send(Method.GET, self._path, query=query), type=ListPage)
            if page.items:
                return [
                    _decoded(msgspec.json.decode(each, type=PartialObjectMetadata).metadata.name, each)
                    for each in page.items
                ]
        return []

    async def list_pages(
        self,
        *,
        phase: Phase | None = None,
        field_selector: str | None = None,
        page_size: int = PAGE_SIZE,
        timeout: float,
    ) -> AsyncIterator[list[ListedRequest]]:
        """List requests in the order of their names, however many: only one page is held at a time.

        A page that is asked for minutes after the one before may show newer state than that (Kubernetes, "Retrieving
        large results sets in chunks"): no request is left out, and none is listed twice.

        Args:
            phase: only those in this phase; None for all.
            field_selector: only those, such as `spec.reversal.kind!=`; None for all.
            page_size: how many a page holds at most.
            timeout: seconds that one page may take.
        """
        selectors = [*([f"status.phase={phase}"] if phase else []), *([field_selector] if field_selector else [])]
        query = {"fieldSelector": ",".join(selectors)} if selectors else {}
        async for page in self._pages(self._path, query | {"limit": str(page_size)}, timeout=timeout):
            yield [ListedRequest.decode(each) for each in page.items or []]

    async def list_versions(self, field_selector: str, *, timeout: float | None = None) -> ListedVersions:
        """List the resource versions of requests, of which the API server sends the metadata alone.

        Args:
            field_selector: of which, such as `status.phase!=fulfilled`.
            timeout: seconds that one page may take; None: as long as any request.
        """
        query = {"fieldSelector": field_selector, "limit": str(PAGE_SIZE)}
        of_uid, resource_version = dict[str, int](), ""
        pages = self._pages(self._path, query, accept=MediaType.METADATA_LIST, timeout=timeout or self._timeout)
        async for page in pages:
            resource_version = page.metadata.resource_version
            for item in page.items or []:
                meta = msgspec.json.decode(item, type=PartialObjectMetadata).metadata
                of_uid[meta.uid] = int(meta.resource_version)
        return ListedVersions(of_uid, int(resource_version))

    async def check_list(self) -> None:
        """Ask for no more than whether requests may be listed; raise what a list would raise."""
        query = {"limit": "1"}
        answer = await self._api.request(
            Method.GET, self._path, query=query, accept=MediaType.METADATA_LIST, timeout=self._timeout
        )
        if not answer.is_success:
            raise error_of(answer)

    async def _pages(
        self, path: str, query: Mapping[str, str], *, accept: MediaType = MediaType.JSON, timeout: float
    ) -> AsyncIterator[ListPage]:
        further = ""
        while True:
            asked = {**query, "continue": further} if further else query
            answer = await self._api.request(Method.GET, path, query=asked, accept=accept, timeout=timeout)
            # 410: the state that was listed is gone, and the answer says how to go on in a newer one.
            resumption = ListPage.resumption(answer.body) if answer.status == HTTPStatus.GONE else None
            if resumption is None and not answer.is_success:
                raise error_of(answer)
            page = resumption or msgspec.json.decode(answer.body, type=ListPage)
            yield page
            further = page.metadata.further
            if not further:
                return

    async def watch(self, name: str, *, timeout: float) -> AsyncGenerator[FulfillmentRequest, None]:
        """Give a request as it is, and anew whenever it changes.

        Args:
            name: which.
            timeout: seconds after which it ends.

        Raises:
            NotFoundError: it was deleted.
            UndecodableError: its content makes no sense any more.
        """
        query = {"fieldSelector": f"metadata.name={name}", "watch": "true", "timeoutSeconds": str(ceil(timeout))}
        async with self._api.stream(self._path, query=query, timeout=timeout + _WATCH_MARGIN) as lines:
            async for line in lines:
                event = msgspec.json.decode(line, type=WatchEvent)
                match event.type:
                    case WatchEventType.ADDED | WatchEventType.MODIFIED:
                        yield _decoded(name, event.object)
                    case WatchEventType.DELETED:
                        raise NotFoundError(f"{name} was deleted")
                    case WatchEventType.BOOKMARK | WatchEventType.ERROR:
                        raise ApiUnavailableError("the Kubernetes API ended the watch")

    async def current_version(self) -> str:
        """Tell the resource version that all requests together are at: `changes` since it misses none."""
        page = await self._send(Method.GET, self._path, query={"limit": "1"})
        return msgspec.json.decode(page, type=ListPage).metadata.resource_version

    async def changes(self, since: str, *, timeout: float) -> AsyncGenerator[Change, None]:
        """Watch all requests.

        Args:
            since: the resource version after which changes are told.
            timeout: seconds after which it ends.

        Raises:
            ApiUnavailableError: the API server ended it otherwise, or does not go back as far as `since`.
        """
        query = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(ceil(timeout))
        async with self._api.stream(self._path, query=query, timeout=timeout + _WATCH_MARGIN) as lines:
            async for line in lines:
                event = msgspec.json.decode(line, type=WatchEvent)
                if event.type is WatchEventType.ERROR:
                    raise ApiUnavailableError("the Kubernetes API ended the watch")
                metadata = msgspec.json.decode(event.object, type=PartialObjectMetadata).metadata
                yield Change(event.type, metadata, event.object)

    async def watch_all(
        self, field_selector: str | None, *, timeout: float
    ) -> AsyncGenerator[tuple[WatchEventType, ListedRequest], None]:
        """Give every request as it is, and anew whenever one changes or is deleted.

        Args:
            field_selector: only those; None for all. One that is not among them any more comes as deleted.
            timeout: seconds after which it ends.
        """
        selected = {"fieldSelector": field_selector} if field_selector else {}
        query = {**selected, "watch": "true", "timeoutSeconds": str(ceil(timeout))}
        async with self._api.stream(self._path, query=query, timeout=timeout + _WATCH_MARGIN) as lines:
            async for line in lines:
                event = msgspec.json.decode(line, type=WatchEvent)
                if event.type in {WatchEventType.BOOKMARK, WatchEventType.ERROR}:
                    raise ApiUnavailableError("the Kubernetes API ended the watch")
                yield event.type, ListedRequest.decode(event.object)

    async def patch_spec(self, request: FulfillmentRequest, patch: SpecPatch) -> None:
        """Replace one field of the spec, of exactly the version that was read.

        Raises:
            ConflictError: it changed since; read it and decide again.
            NotFoundError: it was deleted since.
            InvalidError: the CustomResourceDefinition does not allow its content, or is older, and lacks the field.
        """
        body = {"spec": {_SPEC_FIELDS[type(patch)]: _with_nulls(patch)}}
        try:
            await self._patch_exactly(request, body, query=_STRICTLY)
        except InvalidError as error:
            _, unknown, field = str(error).rpartition(_UNKNOWN_FIELD)  # what stands before it is the object, whole
            if not unknown:
                raise
            older = f"the CustomResourceDefinition is older than this program, and lacks {field}: {INSTALL}"
            raise InvalidError(older) from None

    async def annotate(self, request: FulfillmentRequest, changes: Mapping[str, str | None]) -> FulfillmentRequest:
        """Change annotations of exactly the version that was read, and return the object as it then is.

        Args:
            request: as it was read.
            changes: name → value; None takes the annotation away.

        Raises:
            ConflictError: it changed since; read it and decide again.
            NotFoundError: it was deleted since.
            UndecodableError: it is written, and what else the object has makes no sense.
        """
        written = await self._patch_exactly(request, {"metadata": {"annotations": dict(changes)}})
        return _decoded(request.metadata.name, written)

    async def _patch_exactly(
        self, request: FulfillmentRequest, body: dict[str, dict[str, Any]], *, query: Mapping[str, str] = NO_QUERY
    ) -> bytes:
        version = {"resourceVersion": request.metadata.resource_version}
        exactly = body | {"metadata": body.get("metadata", {}) | version}
        path = self._path_of(request.metadata.name)
        return await self._send(Method.PATCH, path, exactly, query=query, content_type=MediaType.MERGE_PATCH)

    async def patch_status(self, name: str, status: Status) -> FulfillmentRequest:
        """Replace the status, but for `manual`, which is another controller's; return the object as it then is.

        Raises:
            NotFoundError: it was deleted.
            InvalidError: the CustomResourceDefinition does not allow its content.
            UndecodableError: it is written, and what else the object has makes no sense.
        """
        return await self._patch_status(name, _of_the_operator(status))

    async def patch_status_if_unchanged(self, request: FulfillmentRequest, status: Status) -> None:
        """Replace the status, as `patch_status` does, of exactly the version of a FulfillmentRequest that was read.

        Raises:
            ConflictError: it changed since, or was made anew.
            NotFoundError: it was deleted since.
            InvalidError: the CustomResourceDefinition does not allow its content.
        """
        meta = request.metadata
        exactly = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        body = {"metadata": exactly, "status": _of_the_operator(status)}
        await self._send(Method.PATCH, f"{self._path_of(meta.name)}/status", body, content_type=MediaType.MERGE_PATCH)

    async def restore_status(self, name: str, status: Status) -> FulfillmentRequest:
        """Write all of the status of an object that was created anew; return the object as it then is.

        Raises:
            NotFoundError: it was deleted.
            InvalidError: the CustomResourceDefinition does not allow its content.
            UndecodableError: it is written, and what else the object has makes no sense.
        """
        return await self._patch_status(name, status)

    async def _patch_status(self, name: str, status: Status | dict[str, Any]) -> FulfillmentRequest:
        path, body = f"{self._path_of(name)}/status", {"status": status}
        return _decoded(name, await self._send(Method.PATCH, path, body, content_type=MediaType.MERGE_PATCH))

    async def delete(self, name: str) -> None:
        """Delete a FulfillmentRequest.

        Raises:
            NotFoundError: there is none of this name.
        """
        await self._send(Method.DELETE, self._path_of(name))

    async def delete_if_unchanged(self, request: FulfillmentRequest) -> None:
        """Delete exactly the version of a FulfillmentRequest that was read.

        Raises:
            ConflictError: it changed since, or was made anew.
            NotFoundError: it was deleted since.
        """
        meta = request.metadata
        exactly = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        await self._send(Method.DELETE, self._path_of(meta.name), {"preconditions": exactly})

    async def list_events(self, requests: Iterable[FulfillmentRequest]) -> dict[str, list[PostedEvent]]:
        """List the Events about requests, by their uid: about an earlier request of their name there may be others.

        An API server keeps them for an hour, unless it is told otherwise. It reads all of a namespace for each
        question, so it is asked once, however many the requests are.
        """
        of_uid: dict[str, list[PostedEvent]] = {each.metadata.uid: [] for each in requests}
        selector = (
            f"involvedObject.uid={next(iter(of_uid))}" if len(of_uid) == 1 else f"involvedObject.kind={names.KIND}"
        )
        query = {"fieldSelector": selector, "limit": str(PAGE_SIZE)}
        async for page in self._pages(self._events_path, query, timeout=self._timeout):
            for item in page.items or []:
                listed = msgspec.json.decode(item, type=ListedEvent)
                known, posted = of_uid.get(listed.involved_object.uid), listed.posted
                if known is not None and posted is not None:
                    known.append(posted)
        return of_uid

    def _path_of(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"

    async def _send(  # noqa: PLR0913 - a request has these parts
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] = NO_QUERY,
        content_type: MediaType = MediaType.JSON,
        conflict: type[KubernetesError] = ConflictError,
    ) -> bytes:
        answer = await self._api.request(
            method,
            path,
            query=query,
            body=None if body is None else _ENCODER.encode(body),
            content_type=content_type,
            timeout=self._timeout,
        )
        if not answer.is_success:
            raise error_of(answer, conflict)
        return answer.body


_ABSENT: tuple[object, ...] = (None, [], {})
"""What a field is that its struct leaves out."""


class _NewMetadata(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


class _NewRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A FulfillmentRequest that is to be created."""

    metadata: _NewMetadata
    spec: Spec
    api_version: str = names.API_VERSION
    kind: str = names.KIND


def _of_the_operator(status: Status) -> dict[str, Any]:
    """Write a status for a merge patch, but for what another controller writes."""
    return {key: value for key, value in _with_nulls(status).items() if key != "manual"}


def _with_nulls(value: msgspec.Struct) -> dict[str, Any]:
    """Write a struct for a merge patch: that keeps what it does not name, so what is absent is named as null."""
    written: dict[str, Any] = {}
    for name, encoded_name, is_optional in _fields_of(type(value)):
        found = getattr(value, name)
        if isinstance(found, msgspec.Struct):
            written[encoded_name] = _with_nulls(found)
        else:
            written[encoded_name] = None if is_optional and not found and found in _ABSENT else found
    return written


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, bool], ...]:
    return tuple((each.name, each.encode_name, not each.required) for each in msgspec.structs.fields(kind))


def _decoded(name: str, found: bytes | msgspec.Raw) -> FulfillmentRequest:
    try:
        return _REQUEST_DECODER.decode(found)
    except msgspec.ValidationError as error:
        version = msgspec.json.decode(found, type=PartialObjectMetadata).metadata.resource_version
        message = f"{name} cannot be read ({error}): if it was made by hand, delete it"
        raise UndecodableError(message, version) from error
