"""What the answers of the Kubernetes API mean that are no success."""

import json
from datetime import timedelta
from http import HTTPStatus

import pytest

from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    InvalidError,
    KubernetesError,
    error_of,
    retry_after,
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


@pytest.mark.parametrize(
    ("status", "headers", "expected", "after"),
    [
        (429, {"Retry-After": "7"}, ApiUnavailableError, timedelta(seconds=7)),
        (503, {"Retry-After": "3600"}, ApiUnavailableError, timedelta(minutes=1)),
        (503, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}, ApiUnavailableError, None),
        (500, {}, ApiUnavailableError, None),
        (410, {}, ApiUnavailableError, None),
        (422, {}, InvalidError, None),
        (413, {"Retry-After": "7"}, InvalidError, None),
    ],
)
def test_what_passes_is_told_apart_with_the_wait_that_is_asked_for(
    status: int, headers: dict[str, str], expected: type[KubernetesError], after: timedelta | None
) -> None:
    """No try comes sooner; nor is one put off for ever."""
    error = error_of(Answer(status, HTTPStatus(status).phrase, b"", headers))
    assert (type(error), retry_after(error)) == (expected, after)
