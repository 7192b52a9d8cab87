"""What a 409 of the Kubernetes API means."""

import json

import pytest

from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    KubernetesError,
    error_of,
)
from fulfillment_runtime.kubernetes.rest import Answer

QUOTA = (
    'Operation cannot be fulfilled on resourcequotas "jobs": the object has been modified; please apply your changes'
)


@pytest.mark.parametrize(
    ("reason", "message", "conflict", "expected"),
    [
        ("AlreadyExists", 'jobs.batch "cs-1" already exists', AlreadyExistsError, AlreadyExistsError),
        ("", "", AlreadyExistsError, AlreadyExistsError),
        ("Conflict", QUOTA, AlreadyExistsError, ApiUnavailableError),
        ("Conflict", "the object has been modified", ConflictError, ConflictError),
    ],
)
def test_a_conflict(
    reason: str, message: str, conflict: type[KubernetesError], expected: type[KubernetesError]
) -> None:
    """Of a create it is no proof of an object: a ResourceQuota that counts several at once says the same status."""
    body = json.dumps({"kind": "Status", "reason": reason, "message": message, "code": 409}).encode()
    assert type(error_of(Answer(409, "Conflict", body), conflict)) is expected
