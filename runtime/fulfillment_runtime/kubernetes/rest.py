"""One request to the Kubernetes API and its answer, whoever carries it.

For the workloads that is the client library's connection (`library`), for the plugin it is kubectl.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum, unique
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

NO_QUERY: Mapping[str, str] = MappingProxyType({})


@unique
class Method(StrEnum):
    """What a request does."""

    GET = "GET"
    POST = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"


@unique
class MediaType(StrEnum):
    """How a body is written; of an answer also what of an object is asked for."""

    JSON = "application/json"
    MERGE_PATCH = "application/merge-patch+json"
    METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered, whole."""

    status: int
    reason: str
    """The status line's."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_QUERY)
    """Whatever the case of their names; none where who carries it tells none."""

    @property
    def is_success(self) -> bool:
        """Whether it did what it was asked."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


class RestClient(Protocol):
    """Carries requests to one API server, as one user. Each method raises `ApiUnavailableError` if it cannot."""

    async def request(  # noqa: PLR0913 - a request has these parts
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] = NO_QUERY,
        body: bytes | None = None,
        content_type: MediaType = MediaType.JSON,
        accept: MediaType = MediaType.JSON,
        timeout: float,
    ) -> Answer:
        """Send a request, and read its answer, whatever it is.

        Args:
            method: what it does.
            path: of what, from the root, and percent-encoded.
            query: name → value, not encoded yet.
            body: what it sends.
            content_type: how that is written.
            accept: how the answer is to be written.
            timeout: seconds that all of it may take.
        """

    def stream(
        self, path: str, *, query: Mapping[str, str] = NO_QUERY, timeout: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Read an answer line by line, as they come.

        Args:
            path: of what, from the root, and percent-encoded.
            query: name → value, not encoded yet.
            timeout: seconds that all of it may take.

        Raises:
            KubernetesError: the API server answers something else than 200.
        """
