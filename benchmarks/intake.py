"""Intake: Stripe's events through the service, beside raw creates of the same object from the same sender."""

from dataclasses import dataclass, field

from benchmarks.bench import Bench, percentile
from benchmarks.orders import made_up, play
from benchmarks.sender import Report
from benchmarks.table import Figure, Row, measured
from fulfillment_local.fake_stripe.model import Order

_RAW_NAMESPACE = "kube-public"  # there from the start, and nobody of ours looks into it
_ROUNDS = 3
"""The two take turns, so that both see the machine as it is all along."""
_WARM_UP = 50


@dataclass(slots=True)
class _Side:
    cpu: float = 0.0
    """Seconds."""
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def add(self, report: Report, cpu: float) -> None:
        self.cpu += cpu
        self.seconds += report.seconds
        self.latencies += [each.seconds for each in report.outcomes]

    @property
    def cpu_of_one(self) -> float:
        return self.cpu / len(self.latencies)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        return percentile(self.latencies, 0.99)


async def measure(bench: Bench) -> list[Figure]:
    """Send both in turns, and compare."""
    each_round = max(1, bench.scale.orders // _ROUNDS)
    raw, events, behind = _Side(), _Side(), 0.0
    async with bench.world() as world:
        orders = await play(world.stripe, Order(), _WARM_UP + _ROUNDS * each_round)
        async with world.service() as service:
            event_shots = service.shots(orders)
            await world.send(event_shots[:_WARM_UP])
            template = await world.stored(orders[0].ids)
            raw_shots = [template.create(world.api, _RAW_NAMESPACE, made_up(number)) for number in range(len(orders))]
            await world.send(raw_shots[:_WARM_UP])
            for start in range(_WARM_UP, len(orders), each_round):
                before = world.api.cpu_seconds()
                report = await world.send(raw_shots[start : start + each_round])
                raw.add(report, world.api.cpu_seconds() - before)
                before, api_before = service.cpu_seconds(), world.api.cpu_seconds()
                report = await world.send(event_shots[start : start + each_round])
                events.add(report, service.cpu_seconds() - before)
                behind += world.api.cpu_seconds() - api_before
    parts = {
        "service CPU an event, ms": events.cpu_of_one * 1000,
        "API server CPU an event, ms": behind / len(events.latencies) * 1000,
        "API server CPU a raw create, ms": raw.cpu_of_one * 1000,
        "events/s": events.rate,
        "raw creates/s": raw.rate,
        "p99 of an event, ms": events.p99 * 1000,
        "p99 of a raw create, ms": raw.p99 * 1000,
    }
    note = bench.scale_note(f"{len(orders) - _WARM_UP:,} orders")
    return [
        measured(Row.INTAKE_CPU, events.cpu_of_one / raw.cpu_of_one, note, parts=parts),
        measured(Row.INTAKE_RATE, events.rate / raw.rate, note, parts=parts),
        measured(Row.INTAKE_P99, events.p99 / raw.p99, note, parts=parts),
    ]
