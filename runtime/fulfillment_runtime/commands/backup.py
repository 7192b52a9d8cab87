"""What a backup has of a FulfillmentRequest: `fulfillment export` and `kubectl get -o json` write it. Pure."""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.spec import Spec
from fulfillment_api.status import Status


class BackedUpMetadata(Struct, frozen=True, kw_only=True):
    """What identifies and describes it."""

    name: str
    namespace: str
    generation: int | None = None
    """Of the spec; None in an export that does not tell."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _BackedUpObject(Struct, frozen=True, kw_only=True, rename="camel"):
    """Any Kubernetes object."""

    api_version: str
    kind: str
    metadata: BackedUpMetadata


class BackedUpRequest(_BackedUpObject, frozen=True, kw_only=True, rename="camel"):
    """A FulfillmentRequest as it was when it was backed up."""

    spec: Spec
    status: Status | None = None

    def status_of(self, generation: int) -> Status | None:
        """Return its status as one of the spec that is created anew, or as one that has not seen it.

        Args:
            generation: of the spec that was created.
        """
        if self.status is None:
            return None
        is_observed = self.metadata.generation in {None, self.status.observed_generation}
        observed = generation if is_observed else 0
        conditions = [replace(each, observed_generation=observed) for each in self.status.conditions]
        return replace(self.status, observed_generation=observed, conditions=conditions)


class UndecodableRequest(Struct, frozen=True):
    """A FulfillmentRequest that does not decode: it was made by hand, or by a newer version."""

    metadata: BackedUpMetadata
    message: str
    """Why."""


class _List(Struct):
    """As kubectl prints several objects."""

    kind: str
    items: list[Raw] = []


class BackupError(ValueError):
    """What was read is no backup of FulfillmentRequests."""


def read_backup(data: bytes) -> list[BackedUpRequest | UndecodableRequest]:
    """Read JSON lines, or the one List that `kubectl get -o json` prints; an export holds also what does not decode.

    Raises:
        BackupError: something in it is no FulfillmentRequest; with its place.
    """
    try:
        found = msgspec.json.decode(data, type=_List)
    except msgspec.DecodeError:  # several lines
        items, place = [Raw(line) for line in data.splitlines() if line.strip()], "line"
    else:
        items, place = (found.items, "item") if found.kind.endswith("List") else ([Raw(data)], "line")
    return [_decoded(item, f"{place} {number}") for number, item in enumerate(items, start=1)]


def _decoded(item: Raw, place: str) -> BackedUpRequest | UndecodableRequest:
    try:
        found = msgspec.json.decode(item, type=_BackedUpObject)
    except msgspec.DecodeError as error:
        raise BackupError(f"{place} is no FulfillmentRequest as `fulfillment export` writes it: {error}") from error
    if (found.api_version, found.kind) != (names.API_VERSION, names.KIND):
        raise BackupError(f"{place} is of the kind {found.kind} of {found.api_version}, and no {names.KIND}")
    try:
        return msgspec.json.decode(item, type=BackedUpRequest)
    except msgspec.ValidationError as error:
        return UndecodableRequest(found.metadata, f"it does not decode: {error}")
