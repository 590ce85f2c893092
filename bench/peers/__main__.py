"""Measure the same turn in Pantheon and in frameworks that people would use instead, on the same Postgres.

    python -m bench.peers    writes its table, from 150 turns of each side
    python -m bench.peers --turns 30 --print

Each peer runs in an environment of its own under build/peers, which `make bench-peers` makes from its lock file.
"""

import argparse
import io
import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from bench import report
from bench.turn import WARM_UP, expect
from bench.world import KEYS, Case, World

ROOT = Path(__file__).parents[2]
CASE = Case("orchestrator, manager and 3", "orchestrator", KEYS[:3])
COLUMNS = ("peer", "its turn", "Pantheon's beside it", "times as long", "times the CPU")
# Milliseconds of a turn, and those of CPU.
Took = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Peer:
    """`module` is its program, and the name of its lock file and environment; `packages` are shown with versions."""

    name: str
    module: str
    packages: tuple[str, ...]
    options: tuple[str, ...] = ()


_GRAPH = ("langgraph", ("langgraph", "langgraph-checkpoint-postgres"))
PEERS = (
    Peer("LangGraph, durability async (its default)", *_GRAPH, ("async",)),
    Peer("LangGraph, durability sync", *_GRAPH, ("sync",)),
    Peer("LangGraph, durability exit", *_GRAPH, ("exit",)),
    Peer("OpenAI Agents SDK, SQLAlchemySession", "openai_agents", ("openai-agents", "sqlalchemy")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=150, help="turns of each side (150)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    rows = [_row(peer, arguments.turns) for peer in PEERS]
    versions = ", ".join(sorted({version for peer in PEERS for version in _versions(peer)}))
    what = f"{arguments.turns} turns of each side; {versions}"
    report.write("peers", COLUMNS, rows, what, only_print=arguments.print)


def _row(peer: Peer, turns: int) -> list[str]:
    with World.start(CASE) as world:
        command: list[str | Path] = [ROOT / "build/peers" / peer.module / "bin/python", "-m"]
        command += [f"bench.peers.{peer.module}", world.server_url, *peer.options]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            try:
                theirs, ours = _measure([lambda: _ask(program), _pantheon(world)], turns)
            finally:
                program.kill()
    theirs_ms, ours_ms = (statistics.median(took[0] for took in side) for side in (theirs, ours))
    theirs_cpu, ours_cpu = (statistics.fmean(took[1] for took in side) for side in (theirs, ours))
    times = [f"{theirs_ms:.2f} ms", f"{ours_ms:.2f} ms", f"{theirs_ms / ours_ms:.2f}", f"{theirs_cpu / ours_cpu:.2f}"]
    return [peer.name, *times]


def _measure(sides: Sequence[Callable[[], Took]], turns: int) -> list[list[Took]]:
    taken: list[list[Took]] = [[] for _ in sides]
    for _ in range(WARM_UP + turns):
        for side, measured in zip(sides, taken, strict=True):
            measured.append(side())
    return [measured[WARM_UP:] for measured in taken]


def _ask(program: subprocess.Popen[str]) -> Took:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    milliseconds, cpu = json.loads(program.stdout.readline())
    return milliseconds, cpu


def _pantheon(world: World) -> Callable[[], Took]:
    handler, posts = world.handler(world.app_url), world.posts()

    def take() -> Took:
        event = next(posts)
        with redirect_stdout(io.StringIO()):
            started, busy = time.perf_counter(), time.process_time()
            answer = handler(event, world.context)
            took = (time.perf_counter() - started) * 1000, (time.process_time() - busy) * 1000
        expect(201, answer)
        return took

    return take


def _versions(peer: Peer) -> list[str]:
    """Of the packages that it is known by, from its lock file."""
    locked = (ROOT / "bench/peers" / f"{peer.module}.txt").read_text()
    found = {name: re.search(rf"(?m)^{re.escape(name)}==(\S+)", locked) for name in peer.packages}
    return [f"{name} {match[1]}" for name, match in found.items() if match]


if __name__ == "__main__":
    main()
