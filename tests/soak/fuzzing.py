"""Fuzz one target of `tests.fuzz` with atheris, guided by coverage. The search begins with the kept inputs.

A crash ends libFuzzer. It starts again on the inputs that it gathered until the time is over. The input that crashed it
stays in `build/fuzz`, so that it can become a test.
"""

import os
import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from local import process
from tests.faults.checks import Finding
from tests.fuzz.stage import served
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import TARGETS
from tests.soak.row import Amount, Outcome

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / "build" / "fuzz"
# An input that takes longer, in seconds, is a finding too.
_SLOWEST_S = 30
_DONE = re.compile(r"^stat::number_of_executed_units: +(\d+)", re.MULTILINE)
_STATE = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)", re.MULTILINE)
_RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*)\n")
_MOST_CRASHES = 10


def fuzz(name: str, amount: Amount) -> Outcome:
    """Fuzz a target for this number of minutes."""
    target, gathered, crashes = TARGETS[name], amount.directory / "corpus", _KEPT / name
    gathered.mkdir()
    crashes.mkdir(parents=True, exist_ok=True)
    words = amount.directory / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    log, tried, edges, found = amount.directory / "said.log", 0, 0, list[Finding]()
    ends = time.monotonic() + 60 * amount.wanted
    with served(amount.directory / "served") if target.stores else nullcontext({**os.environ}) as environment:
        while (left := int(ends - time.monotonic())) > 0 and len(found) < _MOST_CRASHES:
            options = [
                f"-seed={amount.seed + len(found)}",
                f"-timeout={_SLOWEST_S}",
                f"-max_total_time={left}",
                f"-dict={words}",
                f"-artifact_prefix={crashes}/",
                "-print_final_stats=1",
            ]
            command: list[str | Path] = [sys.executable, "-m", "tests.fuzz", name, *options, gathered, CORPUS / name]
            with log.open("wb") as output:
                code = process.spawn(command, output=output, cwd=_ROOT, env=environment).wait()
            said = log.read_text(errors="replace")
            runs, reached = _progress(said)
            tried, edges = tried + runs, max(edges, reached)
            if code:
                found.append(("uncaught", _what(said)))
    figures = {
        "inputs": f"{tried:,}",
        "kept by coverage": f"{len(list(gathered.iterdir())):,}",
        "edges": f"{edges:,}",
    }
    return Outcome(amount.wanted, found, figures)


def _escaped(word: str) -> str:
    """Write a word as a dictionary of libFuzzer has it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _progress(said: str) -> tuple[int, int]:
    """Return how many inputs libFuzzer has tried, and how many edges they reached."""
    states = _STATE.findall(said)
    runs = _DONE.findall(said) or [state[0] for state in states] or ["0"]
    return int(runs[-1]), int(states[-1][1]) if states else 0


def _what(said: str) -> str:
    raised = _RAISED.search(said)
    last = raised[1] if raised else "\n".join(said.splitlines()[-5:])
    kept = re.search(r"written to (\S+)", said)
    return f"{last[:500]} ({Path(kept[1]).relative_to(_ROOT) if kept else 'no input was kept'})"
