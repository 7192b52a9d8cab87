"""How ports are opened: on every address of this machine, IPv4 and IPv6, unless one is named."""

import socket

from fulfillment_runtime.fatal_errors import UnavailableError


def listen(port: int, *, address: str | None = None, what: str, setting: str) -> socket.socket:
    """Open a port (0 takes a free one).

    Args:
        port: the port.
        address: the one IP address to listen on; None: every one.
        what: what it is for, in words for a person: "the webhook port".
        setting: the variable that names another.

    Raises:
        UnavailableError: the port is taken, or this machine has no such address.
    """
    on = f" on {address}" if address else ""
    try:
        if address is not None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, port), family=family, backlog=1024)
        elif socket.has_dualstack_ipv6():
            listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        else:
            listener = socket.create_server(("0.0.0.0", port), backlog=1024)  # noqa: S104 - others call from outside
    except OSError as error:
        raise UnavailableError(
            f"{what} {port} cannot be opened{on} ({error.strerror}): free it, or set {setting} to another"
        ) from error
    # Its connections inherit it. asyncio sets it only on sockets of its own, and an answer would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
