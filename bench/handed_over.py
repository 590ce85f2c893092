"""Measure how many turns are handed over, with the time of the deployed function.

    python -m bench.handed_over                 writes its table, from 4 turns of each case
    python -m bench.handed_over --turns 2 --print

Each turn runs in a process of its own, all at the same time, and each call takes 3 seconds. The control compares the
same calls with a turn of 25 seconds.
"""

import argparse
import io
import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Final

from bench import report
from bench.provider import BenchProvider
from bench.world import KEYS, Case, Context, World
from infra_cdk.entries import TURNS
from shared.llm.port import Completion, OnText, Request
from shared.names import Env

CALL_S: Final = 3.0
CASES: Final = (
    Case("orchestrator, manager and 3", "orchestrator", KEYS[:3]),
    Case("roundtable, 4 agents", "roundtable", KEYS[:4]),
)
COLUMNS: Final = ("case", "calls", "a turn takes", "handed over", "handed over with 25 s")
# The control: a turn has 25 s, and a call begins only if its timeout and 3 s are left.
BEFORE_S: Final = 25.0
BEFORE_MARGIN_S: Final = 3.0
_HANDED_OVER: Final = 202


class Countdown(Context):
    """Lambda's context of an invocation that has `seconds` from now on."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - time.monotonic()) * 1000))


@dataclass(slots=True)
class Clock(BenchProvider):
    """Notes when each call begins, in seconds of the clock, and its timeout in the catalog."""

    route: list[str]
    wait_s: float
    begun: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        BenchProvider.__init__(self, self.route, self.wait_s)

    def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        self.begun.append((time.monotonic(), request.model.max_call_s))
        return BenchProvider.complete(self, request, on_text)


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn: its HTTP status, its seconds, and for each call the second in which it began and its timeout."""

    status: int
    seconds: float
    calls: Sequence[tuple[float, float]]

    @property
    def handed_over(self) -> bool:
        return self.status == _HANDED_OVER

    @property
    def handed_over_before(self) -> bool:
        """Whether a call of this turn would not have begun with the limits of the release before."""
        return any(BEFORE_S - began < timeout + BEFORE_MARGIN_S for began, timeout in self.calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4, help="turns of each case (4)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = [_row(case, take(case, arguments.turns, CALL_S)) for case in CASES]
    what = f"{arguments.turns} turns of each case, {CALL_S:.0f} s a call"
    report.write("handed over", COLUMNS, rows, what, only_print=arguments.print)


def _row(case: Case, turns: Sequence[Taken]) -> list[str]:
    return [
        case.name,
        str(max(len(turn.calls) for turn in turns)),
        f"{max(turn.seconds for turn in turns):.1f} s",
        _share([turn.handed_over for turn in turns]),
        _share([turn.handed_over_before for turn in turns]),
    ]


def _share(handed_over: Sequence[bool]) -> str:
    return f"{100 * sum(handed_over) / len(handed_over):.0f} %"


def take(case: Case, turns: int, call_s: float, seconds: float = TURNS.seconds) -> list[Taken]:
    """Take `turns` turns at once, each in a process that has `seconds`, as the deployed function has."""
    context = multiprocessing.get_context("fork")
    with World.start(case) as world:
        # The stack does not set it either.
        os.environ.pop(Env.TURN_SECONDS, None)
        events = [world.event(world.make_session()) for _ in range(turns)]
        world.before_fork()
        done = context.SimpleQueue()
        processes = [context.Process(target=_take, args=(world, event, call_s, seconds, done)) for event in events]
        for process in processes:
            process.start()
        told = [done.get() for _ in processes]
        for process in processes:
            process.join()
    failed = [each for each in told if isinstance(each, str)]
    if failed:
        raise SystemExit(f"a process ended: {failed}")
    return told


def _take(world: World, event: dict[str, Any], call_s: float, seconds: float, done: Any) -> None:
    try:
        provider = Clock(list(world.case.keys), call_s)
        with redirect_stdout(io.StringIO()):
            handler = World(world.case, world.server_url, world.app_url, provider).handler(world.app_url)
            began = time.monotonic()
            answer = handler(event, Countdown(seconds))
            took = time.monotonic() - began
        calls = [(at - began, timeout) for at, timeout in provider.begun]
        done.put(Taken(answer["statusCode"], took, calls))
    except BaseException as error:
        done.put(repr(error))
        raise


if __name__ == "__main__":
    main()
