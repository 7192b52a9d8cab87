"""What a backup is read from, and the status that an order has when its spec is created anew."""

import json
from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest

from fulfillment_runtime.commands.backup import (
    BackedUpRequest,
    BackupError,
    UndecodableRequest,
    newest_of_each,
    read_backup,
)

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Fulfilled",
    "message": "done",
    "lastTransitionTime": "2026-11-02T09:00:00Z",
    "observedGeneration": 2,
}


def backed_up(observed: int | None, generation: int | None) -> dict[str, Any]:
    status = {
        "phase": "fulfilled",
        "reason": "Fulfilled",
        "message": "done",
        "observedGeneration": observed,
        "conditions": [CONDITION],
        "lastHandled": {"retry": "1"},
        "manual": {"complete": "parcel 7"},
    }
    return {
        "apiVersion": "checkout-fulfillment.dev/v1alpha1",
        "kind": "FulfillmentRequest",
        "metadata": {"name": "cs-1", "namespace": "shop", "uid": "1", "generation": generation},
        "spec": {"session": {"id": "cs_test_1", "livemode": False}, "payment": {"status": "paid"}},
        **({"status": status} if observed is not None else {}),
    }


def read(*items: dict[str, Any]) -> list[BackedUpRequest]:
    found = read_backup(b"\n".join(json.dumps(each).encode() for each in items))
    return [each for each in found if isinstance(each, BackedUpRequest)]


@pytest.mark.parametrize(
    ("observed", "generation", "expected"),
    [
        pytest.param(1, 1, 1, id="it had seen its only spec"),
        pytest.param(7, 7, 1, id="it had seen the newest spec"),
        pytest.param(6, 7, 0, id="it had not seen the newest spec"),
        pytest.param(7, None, 1, id="nobody says which spec there was"),
    ],
)
def test_a_status_is_of_the_spec_that_is_created(observed: int, generation: int | None, expected: int) -> None:
    """Or of none, where it had not seen what is created; all else of it stays."""
    (request,) = read(backed_up(observed, generation))
    status = request.status_of(1)
    assert status is not None
    assert status.observed_generation == expected
    assert [each.observed_generation for each in status.conditions] == [expected]
    assert status.last_handled is not None
    assert status.last_handled.retry == "1"
    assert status.manual is not None
    assert status.manual.complete == "parcel 7"


def test_an_order_without_a_status_has_none() -> None:
    """It is created as any other."""
    (request,) = read(backed_up(None, 1))
    assert request.status_of(1) is None


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("kind", ["List", "FulfillmentRequestList"])
def test_lines_and_lists_are_read_alike(kind: str, indent: int | None) -> None:
    """Kubectl prints one object of many lines."""
    items = [backed_up(1, 1), backed_up(None, 1)]
    found = read_backup(json.dumps({"kind": kind, "items": items}, indent=indent).encode())
    assert found == read(*items) == read_backup(b"\n\n".join(json.dumps(each).encode() for each in items) + b"\n")


def test_one_that_does_not_decode_hides_none_of_the_others() -> None:
    """An export has it, and says nothing of it: it may be of a newer version."""
    newer = backed_up(1, 1)
    newer["status"]["phase"] = "packing"
    data = b"\n".join(json.dumps(each).encode() for each in (newer, backed_up(1, 1)))
    undecodable, decoded = read_backup(data)
    assert isinstance(undecodable, UndecodableRequest)
    assert (undecodable.metadata.name, undecodable.message) == (
        "cs-1",
        "it does not decode: Invalid enum value 'packing' - at `$.status.phase`",
    )
    assert [decoded] == read(backed_up(1, 1))


def test_one_object_and_nothing_are_read() -> None:
    """As `kubectl get fr NAME -o json` prints it, and as an export of an empty namespace is."""
    one = backed_up(1, 1)
    assert read_backup(json.dumps(one, indent=4).encode()) == read(one)
    assert read_backup(b"") == []


MONDAY, TUESDAY = "2026-11-02T09:00:00Z", "2026-11-03T09:00:00Z"


def exported(phase: str, **metadata: str | None) -> dict[str, Any]:
    """Write an order as an export does, or as one that tells less."""
    order = backed_up(1, 1)
    order["status"]["phase"] = phase
    order["metadata"] |= {"resourceVersion": "9", "creationTimestamp": MONDAY} | metadata
    order["metadata"] = {key: value for key, value in order["metadata"].items() if value is not None}
    return order


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        pytest.param(exported("fulfilling"), exported("fulfilled", resourceVersion="10"), id="a later version"),
        pytest.param(
            exported("fulfilling", resourceVersion="900"),
            exported("fulfilled", uid="2", creationTimestamp=TUESDAY),
            id="made anew later, whichever cluster counts",
        ),
        pytest.param(exported("packing"), exported("fulfilled", resourceVersion="10"), id="the older does not decode"),
        pytest.param(exported("fulfilled"), exported("packing", resourceVersion="10"), id="the newer does not decode"),
        pytest.param(exported("fulfilled", uid=None), exported("fulfilled", uid=None), id="the same state twice"),
    ],
)
def test_of_each_order_the_newest_state_is_kept(older: dict[str, Any], newer: dict[str, Any]) -> None:
    """However the backups that overlap are ordered: an older state would have done again what was done since."""
    other = exported("fulfilled", name="cs-2")
    expected = read_backup(json.dumps({"kind": "List", "items": [newer, other]}).encode())
    for items in ([older, newer, other], [newer, other, older, newer]):
        found = newest_of_each(read_backup(json.dumps({"kind": "List", "items": items}).encode()))
        assert found == expected


FAILED_BY_A_PERSON = exported("failed", resourceVersion="9")
FAILED_BY_A_PERSON["status"] |= {"reason": "ManuallyFailed", "lastHandled": {}}
WENT_ON = exported("fulfilling", resourceVersion="12")
RETRIED = exported("fulfilling", uid="2", creationTimestamp=TUESDAY)
ANEW = deepcopy(RETRIED)
ANEW["status"]["lastHandled"] = {}
NEWER = exported("packing", uid="2", creationTimestamp=TUESDAY)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param([exported("fulfilled"), ANEW], 0, id="it was fulfilled"),
        pytest.param([exported("fulfilled"), RETRIED], 0, id="it was fulfilled, whatever a person asks since"),
        pytest.param([exported("fulfilled"), NEWER], 0, id="it was fulfilled, and nobody can read the newer one"),
        pytest.param([FAILED_BY_A_PERSON, ANEW], 0, id="a person had failed it"),
        pytest.param([FAILED_BY_A_PERSON, RETRIED], 1, id="a person had failed it, and retried it"),
        pytest.param([FAILED_BY_A_PERSON, NEWER], 1, id="a person had failed it, and nobody can read the newer one"),
        pytest.param([FAILED_BY_A_PERSON, WENT_ON, ANEW], 2, id="it had gone on before it was made anew"),
    ],
)
def test_an_order_that_was_made_anew_does_not_undo_what_was_done(states: list[dict[str, Any]], expected: int) -> None:
    """As where the cluster was lost, and the order page made yesterday's order again; in whichever order they come."""
    for items in permutations(states):
        found = newest_of_each(read_backup(b"\n".join(json.dumps(each).encode() for each in items)))
        assert [each.metadata for each in found] == [read_backup(json.dumps(states[expected]).encode())[0].metadata]


@pytest.mark.parametrize(
    "one",
    [
        pytest.param({"uid": None}, id="no uid"),
        pytest.param({"resourceVersion": None}, id="no version"),
        pytest.param({"uid": "2"}, id="made in the same second"),
        pytest.param({"uid": "2", "creationTimestamp": None}, id="no time"),
    ],
)
def test_states_of_which_nobody_can_tell_the_newest_are_named(one: dict[str, str | None]) -> None:
    """Nothing is restored by chance."""
    states = [exported("fulfilling", **one), exported("awaiting-payment")]
    for items in (states, states[::-1]):
        with pytest.raises(BackupError, match="of cs-1 there are several states, and neither"):
            newest_of_each(read(*items))
