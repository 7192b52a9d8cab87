"""`python -m benchmarks.sender JOB REPORT`: sends requests, and notes how long each took. A process of its own.

The events of Stripe's and the raw requests to the API server go through the same code, so that they compare.
"""

import asyncio
import ssl
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import uvloop

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_SHOWN_BYTES = 300


class Shot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request."""

    method: str
    url: str
    body: str
    headers: dict[str, str] = {}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, and how they are sent."""

    shots: list[Shot]
    concurrency: int
    """How many at once; with a rate, how many connections there are at most."""
    rate: float | None = None
    """How many a second are begun, whatever became of those before; None: each sender begins one after the other."""
    ca: str | None = None
    """The certificate that the server is verified by."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What came of a request."""

    began: float
    """Seconds since the epoch."""
    seconds: float
    status: int
    """0: there was no answer."""
    problem: str = ""
    """What the answer says that is no 2xx, or why there is none."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job."""

    outcomes: list[Outcome]
    """In the order of the job's requests."""
    seconds: float
    """From the first request to the last answer."""


async def send(job: Job) -> Report:
    """Send all of a job."""
    verify = ssl.create_default_context(cafile=job.ca) if job.ca else True
    connector = aiohttp.TCPConnector(limit=job.concurrency, ssl=verify)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as http:
        start = time.perf_counter()
        outcomes = await (_at_once(job, http) if job.rate is None else _in_time(job, job.rate, http))
        return Report(outcomes=outcomes, seconds=time.perf_counter() - start)


async def _at_once(job: Job, http: aiohttp.ClientSession) -> list[Outcome]:
    waiting = iter(enumerate(job.shots))
    outcomes: dict[int, Outcome] = {}

    async def work() -> None:
        for place, shot in waiting:
            outcomes[place] = await shoot(shot, http)

    await asyncio.gather(*(work() for _ in range(job.concurrency)))
    return [outcomes[place] for place in range(len(job.shots))]


async def _in_time(job: Job, rate: float, http: aiohttp.ClientSession) -> list[Outcome]:
    start = time.perf_counter()

    async def later(place: int, shot: Shot) -> Outcome:
        await asyncio.sleep(max(0.0, start + place / rate - time.perf_counter()))
        return await shoot(shot, http)

    return await asyncio.gather(*(later(place, shot) for place, shot in enumerate(job.shots)))


async def shoot(shot: Shot, http: aiohttp.ClientSession) -> Outcome:
    """Send one request, and tell what came of it."""
    began, start, status = time.time(), time.perf_counter(), 0
    try:
        async with http.request(shot.method, shot.url, data=shot.body.encode(), headers=shot.headers) as response:
            answer = await response.read()
            status = response.status
            problem = "" if response.ok else answer[:_SHOWN_BYTES].decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:  # whoever reads the report judges
        problem = f"{type(error).__name__}: {error}"
    return Outcome(began, time.perf_counter() - start, status, problem)


def main() -> None:
    """Send the job of the first file, and write the report into the second."""
    job_file, report_file = map(Path, sys.argv[1:])
    report = uvloop.run(send(msgspec.json.decode(job_file.read_bytes(), type=Job)))
    report_file.write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
