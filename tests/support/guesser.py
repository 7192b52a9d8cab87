"""Guesses ids of Checkout Sessions at an order page, as a process of its own, for each line of its standard input.

A line says how many. They are spread evenly, 10,000 a minute, however long an answer takes; each has an id and an
address of its own. What the page answered is written as one line of JSON: how often which status.
"""

import asyncio
import json
import random
import secrets
import sys
from collections import Counter

import aiohttp

PER_SECOND = 10_000 / 60


async def guess(http: aiohttp.ClientSession, url: str, *, after: float) -> int:
    """Visit the page of an order that is not there, and return the answer's status."""
    await asyncio.sleep(after)
    address = f"198.18.{random.randrange(256)}.{random.randrange(256)}"
    query = {"session_id": f"cs_test_a1{secrets.token_hex(28)}"}
    async with http.get(url, params=query, headers={"X-Forwarded-For": address}) as response:
        await response.read()
        return response.status


async def main(url: str) -> None:
    """Guess until the standard input ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        while line := await asyncio.to_thread(sys.stdin.readline):
            statuses = await asyncio.gather(*(guess(http, url, after=n / PER_SECOND) for n in range(int(line))))
            print(json.dumps(Counter(statuses)), flush=True)  # noqa: T201 - it is asked for


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
