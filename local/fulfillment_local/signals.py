"""How a stand-in that runs as a process of its own learns that it must end."""

import asyncio
import signal


async def told_to_end() -> None:
    """Wait for SIGINT or SIGTERM."""
    told = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, told.set)
    await told.wait()
