"""How an order is followed."""

from fulfillment_page.visits import STILL_HERE


def test_a_heartbeat_is_no_event() -> None:
    """It keeps load balancers from cutting the connection, and no browser hears of it."""
    assert STILL_HERE.encode() == b": still here\r\n\r\n"
