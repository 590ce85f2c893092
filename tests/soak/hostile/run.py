"""Runs the simulation: forked processes for honest turns, hostile clients and workers, under a watch. Then it checks
the books.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.checks import Finding
from tests.faults.forked import Forked
from tests.soak.hostile.books import Books, examine
from tests.soak.hostile.crew import Crew, Processes
from tests.soak.hostile.did import Did, together
from tests.soak.hostile.schedule import QUIET_SHARE, Schedule
from tests.soak.hostile.tenants import Deployment, Tenants, deployed
from tests.soak.hostile.watch import Watch

_SAMPLE_S = 0.5
# The most seconds that processes may take to start.
_START_S = 3.0
_DRAIN_S, _LEASES_S = 240.0, 15.0
_ACTIVE = b"SELECT count(*) AS active FROM turns WHERE completed_at IS NULL"
# Only the workers run turns now.
_EXPIRE = b"UPDATE turns SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE status = 'running'"


@dataclass(frozen=True)
class Result:
    honest: Did
    hostile: Did
    workers: Did
    watch: Watch
    books: Books
    found: Sequence[Finding]


def simulate(directory: Path, tenants: Tenants, seconds: float, seed: int, *, until_found: bool = False) -> Result:
    """Run for this number of seconds, or `until_found` until a watch finds something. Then there are no books."""
    with deployed(directory, tenants) as deployment:
        share = 0.0 if until_found else QUIET_SHARE
        schedule = Schedule(time.monotonic() + _START_S, seconds, share)
        with Crew(deployment, tenants, schedule, seed).at_work() as processes:
            watch = Watch(deployment.owner)
            _watch(watch, processes, schedule, until_found=until_found)
            if until_found and watch.found:
                return Result(Did(), Did(), Did(), watch, Books(), [*watch.found.values()])
            honest, hostile = (together(_received(part)) for part in (processes.honest, processes.hostile))
            stuck = _drain(deployment, watch)
            processes.workers.pipe.send("stop")
            workers = together(_received([processes.workers]))
        books, wrong = examine(deployment)
        watch.look(at_all=True)
    found = [*watch.found.values(), *stuck, *wrong, *honest.found, *hostile.found, *workers.found]
    return Result(honest, hostile, workers, watch, books, found)


def _watch(watch: Watch, processes: Processes, schedule: Schedule, *, until_found: bool) -> None:
    """Look until the time is over and the clients have ended."""
    while not (until_found and watch.found):
        watch.look()
        over = schedule.now() > schedule.seconds
        if over and all(process.pipe.poll() for process in processes.clients()):
            return
        time.sleep(_SAMPLE_S)


def _received(processes: Sequence[Forked]) -> list[Did]:
    return [process.pipe.recv() for process in processes]


def _drain(deployment: Deployment, watch: Watch) -> list[Finding]:
    """Let the workers end every turn."""
    until, active = time.monotonic() + _DRAIN_S, 0
    expired = 0.0
    while time.monotonic() < until:
        # A longer lease belongs to a runner that gave up. A worker's own turn is only taken over.
        if time.monotonic() > expired + _LEASES_S:
            expired = time.monotonic()
            deployment.owner.execute(_EXPIRE)
        active = sum(row["active"] for row in deployment.owner.execute(_ACTIVE))
        if not active:
            return []
        watch.look()
        time.sleep(_SAMPLE_S)
    return [("stuck", f"{active} turns have not ended")]
