"""Measure the memory of `pantheon run` with its own model, and its start up to the first answer.

    python -m bench.local              writes its tables, from three starts
    python -m bench.local --starts 1 --print

Memory is the sum of the proportional set sizes (PSS) of all processes: shared pages count once. It needs Linux.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from bench import report
from local import token_file

MEMORY: Final = ("state", "all processes", "the model", "all but the model")
START: Final = ("step", "after")
_PANTHEON: Final = (sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())")
_CLIENTS: Final = 8
_ROUNDS: Final = 3
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class Running:
    """A `pantheon run` that accepts requests. Times are in seconds since its start."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path
    called: float
    accepted_s: float

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token_file.read(self.data_dir)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=_PATIENCE_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3, help="how many starts (3)")
    parser.add_argument("--asleep", type=float, default=330.0, help="seconds until the model sleeps; 0 skips it (330)")
    parser.add_argument("--print", action="store_true", help="print the tables only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with run(data_dir):
            pass  # it sets the folder up
        starts = [_start(data_dir) for _ in range(given.starts)]
        with run(data_dir) as running:
            time.sleep(5)
            rows = [_memory("at rest", running)]
            ask_at_once(running)
            rows.append(_memory(f"after {_CLIENTS} clients at once", running))
            if given.asleep:
                time.sleep(given.asleep)
                rows.append(_memory(f"at rest, {given.asleep / 60:.0f} minutes later", running))
    report.write("memory", MEMORY, rows, "one run", only_print=given.print)
    accepted, answered = (statistics.median(times) for times in zip(*starts, strict=True))
    steps = [["requests are accepted", f"{accepted:.1f} s"], ["the first answer of an agent", f"{answered:.1f} s"]]
    report.write("start", START, steps, f"medians of {given.starts} starts", only_print=given.print)


@contextmanager
def run(data_dir: Path) -> Iterator[Running]:
    """Run `pantheon run` on any free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
    environ = kept | {"PANTHEON_PORT": "0", "PANTHEON_DATA_DIR": str(data_dir)}
    called = time.monotonic()
    command = [*_PANTHEON, "run", "--quiet"]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            url = next(found[1] for line in process.stdout if (found := re.search(r"requests at (\S+)", line)))
            yield Running(process, url, data_dir, called, time.monotonic() - called)
        finally:
            process.terminate()


def _start(data_dir: Path) -> tuple[float, float]:
    """Return the seconds until the first request is accepted, and until an agent has answered with eight tokens."""
    with run(data_dir) as running, running.client() as http:
        _make_agent(http)
        session = http.post("sessions", json={"agent_keys": ["short"]}).json()
        turn = http.post(f"sessions/{session['id']}/turns", json={"message": "Name a colour."}).json()
        assert turn["status"] == "completed", turn
        return running.accepted_s, time.monotonic() - running.called


def _make_agent(http: httpx.Client) -> None:
    body = {"name": "Short", "role_prompt": "Be brief.", "model_alias": "fast", "max_output_tokens": 8}
    http.put("agents/short", json=body).raise_for_status()


def ask_at_once(running: Running) -> None:
    """Take several turns in each of eight concurrent clients."""

    def client(number: int) -> None:
        with running.client() as http:
            session = http.post("sessions", json={"title": f"{number}", "agent_keys": ["short"]}).json()
            for _ in range(_ROUNDS):
                http.post(f"sessions/{session['id']}/turns", json={"message": "Name a colour."}).raise_for_status()
                http.get("sessions").raise_for_status()

    with running.client() as http:
        _make_agent(http)
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(client, range(_CLIENTS)))


def memory_mb(running: Running) -> tuple[float, float]:
    """Return the PSS of all processes, and of the model's process."""
    total = of_model = 0.0
    stack = psutil.Process(running.process.pid)
    for process in (stack, *stack.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            size = process.memory_full_info().pss / 2**20
            total += size
            of_model += size if "model_server.py" in " ".join(process.cmdline()) else 0
    return total, of_model


def _memory(state: str, running: Running) -> list[str]:
    total, of_model = memory_mb(running)
    return [state, f"{total:.0f} MB", f"{of_model:.0f} MB", f"{total - of_model:.0f} MB"]


if __name__ == "__main__":
    main()
