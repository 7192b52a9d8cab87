"""Where a request comes from: whom to believe about it, and whether events are taken from there."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from fulfillment_service.http.senders import AllowedSources, Sender, SenderRejectedError
from fulfillment_service.http.sparse_log import SparseLog

SOURCES = AllowedSources.of(("3.18.12.63", "198.51.100.0/24", "2001:db8::/32"), ("10.0.0.0/8", "fd00::1"))
DIRECT = AllowedSources.of(("3.18.12.63",))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "is_allowed"),
    [
        ("3.18.12.63", (), True),
        ("::ffff:3.18.12.63", (), True),
        ("198.51.100.7", (), True),
        ("198.51.101.7", (), False),
        ("2001:db8:1::2", (), True),
        ("2001:db9::2", (), False),
        (None, (), False),
        (None, ("3.18.12.63",), False),
        ("10.1.2.3", (), False),
        ("10.1.2.3", ("3.18.12.63",), True),
        ("::ffff:10.1.2.3", ("3.18.12.63",), True),
        ("fd00::1", ("2001:db8::5",), True),
        ("fd00::2", ("2001:db8::5",), False),
        ("192.0.2.1", ("3.18.12.63",), False),
        ("10.1.2.3", ("3.18.12.63, 192.0.2.1",), False),
        ("10.1.2.3", ("192.0.2.1, 3.18.12.63",), True),
        ("10.1.2.3", ("192.0.2.1,3.18.12.63 , 10.9.9.9",), True),
        ("10.1.2.3", ("3.18.12.63", "192.0.2.1"), False),
        ("10.1.2.3", ("192.0.2.1", "3.18.12.63"), True),
        ("10.1.2.3", ("10.0.0.1, 10.0.0.2",), False),
        ("10.1.2.3", ("3.18.12.63:50000",), True),
        ("10.1.2.3", ("[2001:db8::5]:443",), True),
        ("10.1.2.3", ("::ffff:3.18.12.63",), True),
        ("10.1.2.3", ("3.18.12.63, unknown",), False),
        ("10.1.2.3", ("3.18.12.63,",), False),
        ("10.1.2.3", ("3.18.12.063",), False),
        ("10.1.2.3", ("_hidden",), False),
        ("10.1.2.3", ("[",), False),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxy_counts(
    peer: str | None, forwarded_for: Sequence[str], is_allowed: bool
) -> None:
    """What stands before it in the header, anybody may have written."""
    with nullcontext() if is_allowed else pytest.raises(SenderRejectedError, match="STRIPE_ALLOWED_SOURCES"):
        SOURCES.check(Sender(peer, forwarded_for))


@pytest.mark.parametrize("forwarded_for", [(), ("3.18.12.63",)])
def test_without_trusted_proxies_the_header_says_nothing(forwarded_for: Sequence[str]) -> None:
    """The connection's other end counts."""
    DIRECT.check(Sender("3.18.12.63", ("192.0.2.1",)))
    with pytest.raises(SenderRejectedError, match=r"not taken from 10\.0\.0\.1"):
        DIRECT.check(Sender("10.0.0.1", forwarded_for))


def test_what_anybody_can_cause_is_told_once_a_minute() -> None:
    """Each event and reason at once, then with how often it happened since; a clock that is set back silences none."""
    now = datetime(2026, 11, 2, tzinfo=UTC)
    log = SparseLog(lambda: now)
    with capture_logs() as lines:
        for seconds in (0, 1, 59, 60, 61, -3600):
            now = datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=seconds)
            log.warning("webhook.turned_away", reason="overloaded", message="full")
        log.warning("webhook.turned_away", reason="invalid-http", message="odd")
    assert [(line["reason"], line["count"]) for line in lines] == [
        ("overloaded", 1),
        ("overloaded", 3),
        ("overloaded", 2),
        ("invalid-http", 1),
    ]
