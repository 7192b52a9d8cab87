"""`python -m benchmarks.flooder URL`: sends what nobody signed until told to end. A process of its own.

Each request has a connection of its own, and is small, or as large as the largest event. To loopback only.
"""

import asyncio
import sys
from urllib.parse import urlsplit

import uvloop

from fulfillment_local.signals import told_to_end

_SMALL, _LARGE = 48, 8
"""Senders of either kind."""
_LARGEST = 1024 * 1024


async def flood(host: str, port: int, path: str) -> None:
    """Send until told to end."""
    if host != "127.0.0.1":
        sys.exit("127.0.0.1 alone is flooded")
    senders = [asyncio.create_task(_send(port, path, size)) for size in [100] * _SMALL + [_LARGEST] * _LARGE]
    print("it has begun", flush=True)
    await told_to_end()
    for each in senders:
        each.cancel()


async def _send(port: int, path: str, size: int) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: flood\r\nContent-Length: {size}\r\n\r\n"
    request = head.encode() + b" " * size
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            await reader.read()
            writer.close()
        except OSError:  # it is hung up on, or there is no port left for a moment
            await asyncio.sleep(0.01)


def main() -> None:
    """Flood the URL of the arguments."""
    url = urlsplit(sys.argv[1])
    uvloop.run(flood(url.hostname or "", url.port or 80, url.path))


if __name__ == "__main__":
    main()
