"""Load by clients in every mode, against a provider that takes 50 ms.

There is no error, nothing is lost, and the last minute is as fast as the first one. Each client is a process with the
real functions, one connection and one event at a time, as a Lambda environment is.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import mean, median, quantiles

from tests.faults.checks import Finding, broken_invariants
from tests.faults.forked import Forked, fork
from tests.faults.reconciled import settle
from tests.faults.scenarios import HELPERS
from tests.faults.turn import ENDED
from tests.faults.world import Rule, World
from tests.soak.client import Did, serve
from tests.soak.processes import children, private_mb
from tests.soak.row import Amount, Outcome
from tests.support.fake_provider import moods

CLIENTS = 8
CALL_S = 0.05
# The seconds at the beginning and at the end that are compared.
_PART_S = 60.0
# The most MB by which a client may grow from the first part to the last one.
_MOST_GROWN_MB = 10.0


@dataclass(frozen=True)
class Sample:
    """A moment's connections of the functions, and private memory in MB of a client and of the whole server."""

    at: float
    connections: int
    client_mb: float
    server_mb: float


def run(amount: Amount) -> Outcome:
    with World(amount.directory) as world:
        as_usual = [replace(rule.mood, delivery="slow", seconds=CALL_S) for rule in HELPERS]
        rules = [replace(rule, mood=mood) for rule, mood in zip(HELPERS, as_usual, strict=True)]
        world.set_moods([*rules, Rule(moods.slow(CALL_S), "", None)])
        did, samples = _together(world, amount)
        found = [*chain.from_iterable(each.found for each in did), *_lost(world), *_grown(samples, amount.wanted)]
        return Outcome(amount.wanted, found, _figures(did, samples, amount.wanted))


def _together(world: World, amount: Amount) -> tuple[list[Did], list[Sample]]:
    environ, log, began = world.environ({}), world.handlers_log, time.monotonic()
    seeds = [f"{amount.seed}:{number}" for number in range(CLIENTS)]
    clients = [fork(lambda pipe, seed=seed: serve(pipe, environ, log, seed, amount.wanted)) for seed in seeds]  # type: ignore[misc]
    samples: list[Sample] = []
    # This process's own connection does not count.
    world.app.close()
    while not any(client.pipe.poll() for client in clients):
        samples.append(_sample(world, clients, time.monotonic() - began))
        time.sleep(1.0)
    did = [client.pipe.recv() for client in clients]
    for client in clients:
        client.kill()
    return did, samples


def _sample(world: World, clients: Sequence[Forked], at: float) -> Sample:
    (row,) = world.rows("SELECT count(*) AS open FROM pg_stat_activity WHERE usename = 'pantheon_app'")
    server = sum(map(private_mb, children(world.server_pid)))
    return Sample(at, row["open"], mean(private_mb(client.pid) for client in clients), server)


def _lost(world: World) -> list[Finding]:
    """Return the findings on lost calls, turns and money."""
    active = world.rows("SELECT id FROM turns WHERE status <> ALL(%s)", list(ENDED))
    found = [("stuck", f"{len(active)} turns have not ended")] if active else []
    settled, wrong = settle(world)
    found += [("suspense", f"{settled} calls were in suspense")] if settled else []
    return [*found, *wrong, *broken_invariants(world)]


def _grown(samples: Sequence[Sample], seconds: int) -> list[Finding]:
    first, last = _first_and_last([(sample.at, sample.client_mb) for sample in samples], seconds)
    most = max(sample.connections for sample in samples)
    found: list[Finding] = []
    if mean(last) > mean(first) + _MOST_GROWN_MB:
        found.append(("memory", f"a client grew from {mean(first):.0f} to {mean(last):.0f} MB"))
    if most > CLIENTS:
        found.append(("connections", f"{CLIENTS} clients had {most}"))
    return found


def _figures(did: Sequence[Did], samples: Sequence[Sample], seconds: int) -> dict[str, str]:
    turns = [turn for each in did for turn in each.turns]
    errors = sum(number for each in did for status, number in each.answers.items() if status >= 400)
    overhead = [(turn.at, turn.overhead_s * 1000) for turn in turns]
    first, last = _first_and_last(overhead, seconds)
    clients = _first_and_last([(sample.at, sample.client_mb) for sample in samples], seconds)
    server = _first_and_last([(sample.at, sample.server_mb) for sample in samples], seconds)
    return {
        "turns": f"{len(turns):,}",
        "provider calls": f"{sum(each.calls for each in did):,}",
        "errors": f"{errors}",
        "overhead p50": f"{median(value for _, value in overhead):.1f} ms",
        "p95": f"{_p95([value for _, value in overhead]):.1f} ms",
        "p95 first and last minute": f"{_p95(first):.1f} and {_p95(last):.1f} ms",
        "connections at most": f"{max(sample.connections for sample in samples)} with {CLIENTS} clients",
        "memory of a client": " to ".join(f"{mean(part):.1f}" for part in clients) + " MB",
        "memory of the server": " to ".join(f"{mean(part):.1f}" for part in server) + " MB",
        "load average at the end": f"{os.getloadavg()[1]:.1f}",
    }


def _first_and_last(measured: Sequence[tuple[float, float]], seconds: int) -> tuple[list[float], list[float]]:
    """Return the turns of the first and of the last minute; of the halves if the load took less than two minutes."""
    part = min(_PART_S, seconds / 2)
    end = max(at for at, _ in measured)
    first = [value for at, value in measured if at <= part]
    return first, [value for at, value in measured if at >= end - part]


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]
