"""What the resource is called, and how one request is named."""

import base64
import hashlib
from functools import lru_cache

GROUP = "checkout-fulfillment.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "FulfillmentRequest"
SINGULAR = "fulfillmentrequest"
PLURAL = "fulfillmentrequests"
SHORT_NAME = "fr"
CATEGORY = "checkout"

ACKNOWLEDGED = f"{GROUP}/acknowledged"
"""The annotation by which a person says that a failure is dealt with."""
PAUSED = f"{GROUP}/paused"
"""The annotation by which a person holds an order, and says why, for as long as it is there."""
RETRY = f"{GROUP}/retry"
"""The annotation by which a person asks, once for each value, that a failed order is tried again."""
COMPLETE = f"{GROUP}/complete"
"""The annotation by which a person says that an order is fulfilled, and by what: its value becomes the reference."""
FAIL = f"{GROUP}/fail"
"""The annotation by which a person, once for each value, ends an order as failed, and says why."""
RESTORING = f"{GROUP}/restoring"
"""The annotation of an object that `fulfillment restore` has created, until it has its status: nobody acts on it."""

LOG_BACKEND = "log"
MANUAL_BACKEND = "manual"
"""The backend whose orders another controller may end by a patch of `status.manual`."""

SELF_TEST = "selftest"
"""Begins, after their kind, the ids of the event and the Session by which an installation is tested."""

NAME_PATTERN = "^cs-[a-z2-7]{26}$"


@lru_cache(maxsize=1024)  # an order's is asked for several times in a row
def request_name(session_id: str, account: str | None = None) -> str:
    """Name the one request that a Checkout Session can have.

    A Session id cannot be the name itself: it is mixed-case, holds "_", and is longer than a label value may
    be (Kubernetes, "Object Names and IDs"). So the name is "cs-" and 128 bits of SHA-256 in base 32: the same
    event always meets the same object, whoever handles it, and the API server rejects the second.

    Args:
        session_id: the Checkout Session's id, such as `cs_test_a1b2…`.
        account: the connected account (`acct_…`) that owns the Session; None for the account of the API key.
    """
    digest = hashlib.sha256(f"{account or ''}/{session_id}".encode()).digest()
    return "cs-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()
