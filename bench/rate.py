"""How many a second: the same work in forked processes, each with what it makes for itself."""

import io
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from multiprocessing.synchronize import Barrier
from typing import Any

# Called in each process with its number; every step of what it returns is one piece of work.
Work = Callable[[int], Iterator[object]]


def rate(work: Work, processes: int, seconds: float) -> float:
    """Pieces of work per second of all processes together. The first of each is not counted."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=_run, args=(work, n, seconds, ready, done)) for n in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"a process ended with {worker.exitcode}")
    return float(sum(done.get() for _ in workers))


def _run(work: Work, number: int, seconds: float, ready: Barrier, done: Any) -> None:
    with redirect_stdout(io.StringIO()), closing(work(number)) as steps:  # type: ignore[type-var]
        try:
            next(steps)
            ready.wait()
        except BaseException:
            # Whoever waits for this process waits no longer.
            ready.abort()
            raise
        count, started = 0, time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            next(steps)
            count += 1
    done.put(count / passed)
