"""A port for a program that opens it only later."""

import socket

import pytest

from fulfillment_local import ports
from fulfillment_local.ports import free_port


def test_it_can_be_opened_and_is_none_that_the_system_gives_to_others() -> None:
    """On Linux those begin at 32768."""
    port = free_port()
    assert port < 32768
    socket.create_server(("127.0.0.1", port)).close()


def test_one_that_is_taken_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other is left it says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_PORTS", [port])
        monkeypatch.setattr(ports, "_TRIES", 1)
        with pytest.raises(OSError, match="none of 1 ports is free"):
            free_port()
