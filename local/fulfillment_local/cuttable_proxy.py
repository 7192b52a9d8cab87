"""A TCP proxy between a client and a server of this machine, whose connections can be cut."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field


@dataclass
class CuttableProxy:
    """Passes bytes on, both ways, unless it is cut."""

    target: int
    """The server's port."""
    port: int = 0
    is_cut: bool = False
    open_transports: set[asyncio.WriteTransport] = field(default_factory=set)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Reset every connection, and each new one, while the context lasts."""
        self.is_cut = True
        for transport in self.open_transports:
            transport.abort()
        try:
            yield
        finally:
            self.is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer.transport, requests.transport}
        if self.is_cut:  # looked at once both are open: from here on `cut` knows them
            for transport in pair:
                transport.abort()
            return
        self.open_transports |= pair
        await asyncio.gather(_copy(reader, requests), _copy(answers, writer))
        self.open_transports -= pair


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.transport.abort()


@asynccontextmanager
async def cuttable_proxy(target: int) -> AsyncIterator[CuttableProxy]:
    """Open one on a free port of loopback while the context lasts.

    Args:
        target: the server's port.
    """
    proxy = CuttableProxy(target)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
        with proxy.cut():
            server.close()
