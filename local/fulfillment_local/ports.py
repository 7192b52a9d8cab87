"""Finds a free port for a program that opens it only later."""

import random
from socket import SO_REUSEADDR, SOL_SOCKET, socket

# Below those that the system gives to whoever asks for any, so that none of them takes it meanwhile: on Linux from
# 32768 on (ip(7), ip_local_port_range), elsewhere from 49152 on. Kubernetes' NodePorts begin at 30000.
_PORTS = range(20_000, 30_000)
_TRIES = 100


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on.

    Args:
        host: the IPv4 address that it is free on.

    Raises:
        OSError: none was found.
    """
    for port in random.sample(_PORTS, _TRIES):
        with socket() as listener:
            listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the program will
            try:
                listener.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"none of {_TRIES} ports is free")
