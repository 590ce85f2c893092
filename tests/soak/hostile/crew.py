"""The processes of a run: each serves one honest turn at a time, or runs many hostile clients or workers in threads."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread

from shared.settings import settings
from tests.faults.forked import Forked, fork
from tests.soak.hostile.clients import HostileClient
from tests.soak.hostile.did import Did, together
from tests.soak.hostile.gateway import Gateway
from tests.soak.hostile.hand import Hand
from tests.soak.hostile.honest import HonestProcess
from tests.soak.hostile.reconciler import Reconciler
from tests.soak.hostile.schedule import Schedule, arrivals
from tests.soak.hostile.tenants import Deployment, Tenants
from tests.soak.hostile.workers import Worker

_HONEST, _HOSTILE, _WORKERS = 12, 5, 6
# On Lambda, each turn's function has cores of its own. So here honest functions get the cores before hostile ones. The
# database's processes keep their priority, because all turns share it in production too.
_NICENESS = 19


@dataclass(frozen=True)
class Processes:
    honest: Sequence[Forked]
    hostile: Sequence[Forked]
    workers: Forked

    def clients(self) -> Sequence[Forked]:
        return (*self.honest, *self.hostile)


@dataclass(frozen=True)
class Crew:
    """Makes the processes of one run."""

    deployment: Deployment
    tenants: Tenants
    schedule: Schedule
    seed: int

    @contextmanager
    def at_work(self) -> Iterator[Processes]:
        """All processes. Those that still run at the end are killed."""
        log = os.open(self.deployment.log, os.O_WRONLY | os.O_APPEND)
        context = multiprocessing.get_context("fork")
        gateway, forked = Gateway(context), list[Forked]()
        times = arrivals(self.seed, self.tenants.per_second, self.schedule.seconds)
        honest = HonestProcess(self.tenants.honest, times, context.Value("q", 0), log)
        try:
            for _ in range(_HONEST):
                forked.append(fork(partial(self._serve, honest)))
            for number in range(_HOSTILE):
                forked.append(fork(partial(self._attack, number, log, gateway)))
            forked.append(fork(partial(self._work, log)))
            yield Processes(forked[:_HONEST], forked[_HONEST:-1], forked[-1])
        finally:
            for process in forked:
                process.kill()
            os.close(log)

    def _serve(self, honest: HonestProcess, pipe: Connection) -> None:
        self._say_into_file()
        honest.run(self.schedule)
        pipe.send(honest.did)

    def _attack(self, number: int, log: int, gateway: Gateway, pipe: Connection) -> None:
        self._say_into_file()
        os.nice(_NICENESS)
        mine = set(self.tenants.hostile[number::_HOSTILE])
        hand = Hand(settings().app_database_url, self.deployment.owner_url)
        clients = [
            HostileClient(tenant, number, self.seed, log, hand, gateway)
            for tenant, number in self.tenants.clients()
            if tenant in mine
        ]
        _in_threads([partial(client.run, self.schedule) for client in clients])
        pipe.send(together([client.did for client in clients]))

    def _work(self, log: int, pipe: Connection) -> None:
        self._say_into_file()
        os.nice(_NICENESS)
        hand = Hand(settings().app_database_url, self.deployment.owner_url)
        owner_url, did = self.deployment.owner_url, Did()
        workers = [Worker(number, self.seed, log, owner_url, hand) for number in range(_WORKERS)]
        reconciler = Reconciler(self.deployment.log, did)
        runs = [
            partial(run, self.schedule, lambda: not pipe.poll()) for run in (reconciler.run, *(w.run for w in workers))
        ]
        _in_threads(runs)
        pipe.send(together([did, *(worker.did for worker in workers)]))

    def _say_into_file(self) -> None:
        with self.deployment.said.open("ab") as said:
            os.dup2(said.fileno(), sys.stdout.fileno())
            os.dup2(said.fileno(), sys.stderr.fileno())


def _in_threads(runs: Sequence[Callable[[], None]]) -> None:
    threads = [Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
