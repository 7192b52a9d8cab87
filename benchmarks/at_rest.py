"""What the workloads take while nothing happens."""

import asyncio

from benchmarks.bench import Bench
from benchmarks.table import Figure, Row, measured

_SETTLED_AFTER = 3.0  # seconds


async def measure(bench: Bench) -> list[Figure]:
    """Start both in an empty cluster, and look at them a moment later."""
    async with bench.world() as world, world.service() as service, world.operator() as operator:
        await asyncio.sleep(_SETTLED_AFTER)
        return [
            measured(Row.SERVICE_AT_REST, service.resident_mib()),
            measured(Row.OPERATOR_AT_REST, operator.resident_mib()),
        ]
