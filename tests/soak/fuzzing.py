"""Coverage-guided fuzzing: atheris on one target of `tests.fuzz`, with the kept inputs as the beginning.

A crash ends libFuzzer; it is started again on what it has gathered until the time is over. The input that crashed it is
kept in `build/fuzz`, so that it can become a test.
"""

import os
import re
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from tests.faults.checks import Finding
from tests.fuzz.stage import served
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import TARGETS
from tests.soak.row import Amount, Outcome

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / "build" / "fuzz"
# An input that takes longer, in seconds, is a finding too.
_SLOWEST_S = 30
_DONE = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_STATE = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)", re.MULTILINE)
_RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*)\n")
_MOST_CRASHES = 10


def fuzz(name: str, amount: Amount) -> Outcome:
    """So many minutes on a target."""
    target, gathered, crashes = TARGETS[name], amount.directory / "corpus", _KEPT / name
    gathered.mkdir()
    crashes.mkdir(parents=True, exist_ok=True)
    words = amount.directory / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    until, tried, edges, found = time.monotonic() + 60 * amount.wanted, 0, 0, list[Finding]()
    with served(amount.directory / "served") if target.stores else nullcontext({**os.environ}) as environment:
        while (left := int(until - time.monotonic())) > 0 and len(found) < _MOST_CRASHES:
            options = [
                f"-max_total_time={left}",
                f"-seed={amount.seed + len(found)}",
                f"-timeout={_SLOWEST_S}",
                f"-dict={words}",
            ]
            command = [sys.executable, "-m", "tests.fuzz", name, *options, f"-artifact_prefix={crashes}/"]
            told = subprocess.run(
                [*command, gathered, CORPUS / name], cwd=_ROOT, env=environment, stderr=subprocess.PIPE, check=False
            )
            said = told.stderr.decode(errors="replace")
            runs, reached = _progress(said)
            tried, edges = tried + runs, max(edges, reached)
            if told.returncode:
                found.append(("uncaught", _what(said)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "inputs": f"{tried:,}",
        "kept by coverage": f"{len(list(gathered.iterdir())):,}",
        "edges": f"{edges:,}",
        "CPU": f"{(used.ru_utime + used.ru_stime) / 60:.1f} min",
    }
    return Outcome(amount.wanted, found, figures)


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
