"""Measure the rate and the duration of work in forked processes."""

import io
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

# Called in each process with its number. Each step of the iterator is one piece of work.
Work = Callable[[int], Iterator[object]]


@dataclass(frozen=True, slots=True)
class Rate:
    """Pieces of work per second of all processes together, and the milliseconds of each piece."""

    per_second: float
    times: Sequence[float]

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.times, n=20)[-1]

    def __add__(self, other: "Rate") -> "Rate":
        """Combine two rounds. The rates are added, so divide them by the number of rounds."""
        return Rate(self.per_second + other.per_second, [*self.times, *other.times])


def rate(work: Work, processes: int, seconds: float) -> Rate:
    """Run the work for `seconds`. The first piece of each process is not counted."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=_run, args=(work, n, seconds, ready, done)) for n in range(processes)]
    for worker in workers:
        worker.start()
    # Read first, because a process does not end while the queue is full.
    told = [done.get() for _ in workers]
    for worker in workers:
        worker.join()
    if any(isinstance(each, str) for each in told):
        raise SystemExit(f"a process ended: {told}")
    return Rate(sum(count for count, _ in told), [each for _, times in told for each in times])


def _run(work: Work, number: int, seconds: float, ready: Barrier, done: Any) -> None:
    with redirect_stdout(io.StringIO()), closing(work(number)) as steps:  # type: ignore[type-var]
        try:
            next(steps)
            ready.wait()
            times: list[float] = []
            began = started = time.monotonic()
            while started - began < seconds:
                next(steps)
                now = time.monotonic()
                times.append((now - started) * 1000)
                started = now
            done.put((len(times) / (started - began), times))
        except BaseException as error:
            done.put(repr(error))
            # Stop the processes that wait at the barrier.
            ready.abort()
            raise
