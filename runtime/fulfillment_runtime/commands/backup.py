"""What a backup has of a FulfillmentRequest: `fulfillment export` and `kubectl get -o json` write it. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.resource import Annotations
from fulfillment_api.spec import Spec
from fulfillment_api.status import Phase, Reason, Status

# Failures that Stripe does not tell: an order that was made anew goes on in spite of them.
_NOT_AT_STRIPE = frozenset((Reason.MANUALLY_FAILED, Reason.FULFILLMENT_FAILED, Reason.NO_ROUTE))


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


def undoes_end(ended: Status, anew: Status | None, annotations: Mapping[str, str]) -> bool:
    """Tell whether an order that was made anew would undo how it had ended.

    What had failed is not undone where a person asked for another try of it since.

    Args:
        ended: its status in the backup.
        anew: its status since it was made anew; None: it is not reconciled yet.
        annotations: all that it has since.
    """
    phase = anew.phase if anew else None
    if ended.phase is Phase.FULFILLED:
        return phase is not Phase.FULFILLED
    if ended.phase is not Phase.FAILED or ended.reason not in _NOT_AT_STRIPE:
        return False
    handled = anew.last_handled if anew else None
    is_retried = bool(Annotations.of(annotations).retry or (handled and handled.retry))
    return phase not in {Phase.FULFILLED, Phase.FAILED} and not is_retried


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
    states = defaultdict[str, list[BackedUpRequest | UndecodableRequest]](list)
    for each in backup:
        if each not in states[each.metadata.name]:
            states[each.metadata.name].append(each)
    newest = {name: _newest(several) for name, several in states.items()}
    if unclear := [name for name, found in newest.items() if found is None]:
        raise BackupError(
            f"of {', '.join(unclear)} there are several states, and neither metadata.resourceVersion nor "
            "metadata.creationTimestamp tells which is the newest: leave the others out"
        )
    return [found for found in newest.values() if found is not None]


def _newest(several: Sequence[BackedUpRequest | UndecodableRequest]) -> BackedUpRequest | UndecodableRequest | None:
    """Return the newest state of an order; None where nobody can tell."""
    of_uid: dict[str | None, BackedUpRequest | UndecodableRequest] = {}
    for each in several:
        known = of_uid.setdefault(each.metadata.uid, each)
        mine, its = each.metadata.resource_version, known.metadata.resource_version
        if each is known:
            continue
        if each.metadata.uid is None or mine is None or its is None:
            return None
        if int(mine) > int(its):
            of_uid[each.metadata.uid] = each
    if len(of_uid) == 1:
        return next(iter(of_uid.values()))
    made = {each.metadata.creation_timestamp: each for each in of_uid.values()}
    if None in of_uid or None in made or len(made) < len(of_uid):
        return None
    first, *later = (each for _, each in sorted(made.items()))
    for each in later:
        first = first if _undoes(each, first) else each
    return first


def _undoes(anew: BackedUpRequest | UndecodableRequest, before: BackedUpRequest | UndecodableRequest) -> bool:
    ended = before.status if isinstance(before, BackedUpRequest) else None
    if ended is None:
        return False
    if isinstance(anew, UndecodableRequest):  # nobody can tell whether it had failed, too, or was tried again
        return ended.phase is Phase.FULFILLED
    return undoes_end(ended, anew.status, anew.metadata.annotations)
