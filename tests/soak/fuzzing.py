"""Coverage-guided fuzzing: atheris on one target of `tests.fuzz`, with the kept inputs as the beginning.

How long is told in minutes of CPU, of the fuzzer and of its database together, so that a busy machine tries as much as
a quiet one; on one that gives it next to nothing it ends all the same. A crash ends libFuzzer; it is started again on
what it has gathered until the time is over. The input that crashed it is kept in `build/fuzz`, so that it can become a
test.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from local import process
from tests.faults.checks import Finding
from tests.fuzz.stage import served
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import TARGETS
from tests.soak.processes import cpu_of_children_s
from tests.soak.row import Amount, Outcome

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / "build" / "fuzz"
# An input that takes longer, in seconds, is a finding too.
_SLOWEST_S = 30
# A minute of CPU may take so many of the clock.
_MOST_PER_CPU_MINUTE = 10
_LOOK_EVERY_S = 0.2
_PATIENCE_S = 60.0
_DONE = re.compile(r"^stat::number_of_executed_units: +(\d+)", re.MULTILINE)
_STATE = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)", re.MULTILINE)
_RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*)\n")
_MOST_CRASHES = 10


def fuzz(name: str, amount: Amount) -> Outcome:
    """So many minutes of CPU on a target."""
    target, gathered, crashes = TARGETS[name], amount.directory / "corpus", _KEPT / name
    gathered.mkdir()
    crashes.mkdir(parents=True, exist_ok=True)
    words = amount.directory / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    log, tried, edges, found = amount.directory / "said.log", 0, 0, list[Finding]()
    budget = _Budget(60 * amount.wanted, time.monotonic() + 60 * amount.wanted * _MOST_PER_CPU_MINUTE)
    with served(amount.directory / "served") if target.stores else nullcontext({**os.environ}) as environment:
        while not budget.is_spent() and len(found) < _MOST_CRASHES:
            options = [
                f"-seed={amount.seed + len(found)}",
                f"-timeout={_SLOWEST_S}",
                f"-dict={words}",
                f"-artifact_prefix={crashes}/",
                "-print_final_stats=1",
            ]
            code = _run([name, *options, gathered, CORPUS / name], environment, log, budget)
            said = log.read_text(errors="replace")
            runs, reached = _progress(said)
            tried, edges = tried + runs, max(edges, reached)
            if code:
                found.append(("uncaught", _what(said)))
        used_s = cpu_of_children_s()
    figures = {
        "inputs": f"{tried:,}",
        "kept by coverage": f"{len(list(gathered.iterdir())):,}",
        "edges": f"{edges:,}",
        "CPU": f"{used_s / 60:.1f} min",
    }
    return Outcome(int(used_s / 60), found, figures)


@dataclass(frozen=True)
class _Budget:
    """`cpu_s` for what this process has started, spent at `until` of the monotonic clock at the latest."""

    cpu_s: float
    until: float

    def is_spent(self) -> bool:
        return cpu_of_children_s() >= self.cpu_s or time.monotonic() >= self.until


def _run(words: Sequence[str | Path], environment: Mapping[str, str], log: Path, budget: _Budget) -> int:
    """Let the fuzzer try inputs until the budget is spent, or until one ends it: then its code is not 0."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.fuzz", *words]
        fuzzer = process.spawn(command, output=output, cwd=_ROOT, env=environment)
        with process.ended_on_error(fuzzer):
            while not budget.is_spent():
                try:
                    return fuzzer.wait(_LOOK_EVERY_S)
                except subprocess.TimeoutExpired:
                    continue
            # It leaves after the input that it is at.
            process.end(fuzzer, signal.SIGUSR1, patience_s=_PATIENCE_S)
            return fuzzer.returncode


def _escaped(word: str) -> str:
    """As a dictionary of libFuzzer has it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _progress(said: str) -> tuple[int, int]:
    """How many inputs libFuzzer has tried, and how many edges they reached."""
    states = _STATE.findall(said)
    runs = _DONE.findall(said) or [state[0] for state in states] or ["0"]
    return int(runs[-1]), int(states[-1][1]) if states else 0


def _what(said: str) -> str:
    raised = _RAISED.search(said)
    last = raised[1] if raised else "\n".join(said.splitlines()[-5:])
    kept = re.search(r"written to (\S+)", said)
    return f"{last[:500]} ({Path(kept[1]).relative_to(_ROOT) if kept else 'no input was kept'})"
