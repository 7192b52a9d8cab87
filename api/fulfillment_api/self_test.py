"""The order that a self-test makes: a Session of no seller's, whose request is labelled, and alerts nobody."""

import re
from types import MappingProxyType

from fulfillment_api.names import ACKNOWLEDGED, GROUP, SELF_TEST
from fulfillment_api.status import Reason

LABEL = f"{GROUP}/self-test"
LABELS = MappingProxyType({LABEL: "true"})
"""What marks its request, for people: `kubectl get fr --selector checkout-fulfillment.dev/self-test`."""
ANNOTATIONS = MappingProxyType({ACKNOWLEDGED: f"{Reason.SESSION_NOT_FOUND}: a self-test made it"})
"""Its failure is what the test is for, so it is acknowledged from the first: no alert counts it."""

RANDOM_BYTES = 12
"""Of its Session's id."""
_SESSION = re.compile(rf"cs_(test|live)_{SELF_TEST}[0-9a-f]{{{2 * RANDOM_BYTES}}}")


def self_test_session(random: str, *, livemode: bool) -> str:
    """Make the id of a Session that Stripe does not have, and that says what it is for.

    Args:
        random: `RANDOM_BYTES` bytes in hexadecimal digits.
        livemode: the mode that the id tells.
    """
    return f"cs_{'live' if livemode else 'test'}_{SELF_TEST}{random}"


def is_self_test(session_id: str) -> bool:
    """Tell whether a Session's id is a self-test's: Stripe's own ids are longer, and never so."""
    return _SESSION.fullmatch(session_id) is not None
