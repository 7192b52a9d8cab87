"""What a backup has of a FulfillmentRequest: `fulfillment export` and `kubectl get -o json` write it. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.spec import Spec
from fulfillment_api.status import Phase, Reason, Status

NOT_AT_STRIPE = frozenset((Reason.MANUALLY_FAILED, Reason.FULFILLMENT_FAILED, Reason.NO_ROUTE))
"""Failures that Stripe does not tell: an order that was made anew goes on in spite of them."""


class BackedUpMetadata(Struct, frozen=True, kw_only=True, rename="camel"):
    """What identifies and describes it."""

    name: str
    namespace: str
    uid: str | None = None
    resource_version: Annotated[str, Meta(pattern=r"^[0-9]+$")] | None = None
    """Which state of this uid it is: later ones are greater."""
    creation_timestamp: Annotated[datetime, Meta(tz=True)] | None = None
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
    """What was read is no backup of FulfillmentRequests, or does not tell what is to be restored."""


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


def newest_of_each(
    backup: Sequence[BackedUpRequest | UndecodableRequest],
) -> list[BackedUpRequest | UndecodableRequest]:
    """Keep the newest state of each order of one namespace: backups that overlap have several.

    Raises:
        BackupError: they do not tell which one that is; with the orders' names.
    """
    newest: dict[str, BackedUpRequest | UndecodableRequest] = {}
    unclear: dict[str, None] = {}
    for each in backup:
        name = each.metadata.name
        known = newest.setdefault(name, each)
        if each == known:
            continue
        is_newer = _is_newer(each, known)
        if is_newer is None:
            unclear[name] = None
        elif is_newer:
            newest[name] = each
    if unclear:
        which = ", ".join(unclear)
        raise BackupError(
            f"of {which} there are several states, and neither metadata.resourceVersion nor metadata.creationTimestamp "
            "tells which is the newest: leave the others out"
        )
    return list(newest.values())


def _is_newer(one: BackedUpRequest | UndecodableRequest, other: BackedUpRequest | UndecodableRequest) -> bool | None:
    """Tell whether one state of an order is newer than another; None where nobody can tell.

    An object that was made anew does not undo what was done before it.
    """
    mine, its = one.metadata, other.metadata
    if mine.uid is None or its.uid is None:
        return None
    if mine.uid == its.uid:
        if mine.resource_version is None or its.resource_version is None:
            return None
        return int(mine.resource_version) > int(its.resource_version)
    if _how_ended(one) != _how_ended(other):
        return _how_ended(one) > _how_ended(other)
    if mine.creation_timestamp is None or its.creation_timestamp in {None, mine.creation_timestamp}:
        return None
    return mine.creation_timestamp > its.creation_timestamp


def _how_ended(each: BackedUpRequest | UndecodableRequest) -> int:
    """Rank how an order ended: nothing undoes that it was fulfilled, and only a person that it failed here."""
    status = each.status if isinstance(each, BackedUpRequest) else None
    if status is None:
        return 0
    return (
        2 if status.phase is Phase.FULFILLED else int(status.phase is Phase.FAILED and status.reason in NOT_AT_STRIPE)
    )
