"""Measure the same example graph in Pantheon and in LangGraph alone, on the same provider and Postgres.

    python -m bench.peers.graphs    writes its table, from 100 turns of each side
    python -m bench.peers.graphs --turns 20 --print

Run it with the interpreter of `make graphs-setup`. Both sides must give the same answers. Then each side is killed with
`kill -9` while its third call is under way, and a new process goes on.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final
from uuid import uuid4

import psycopg

from bench import report
from bench.world import TENANT, Case, World

ROOT: Final = Path(__file__).parents[2]
AGENTS: Final = ("researcher", "critic", "writer")
COLUMNS: Final = (
    *("", "a turn takes", "CPU", "calls of a turn", "calls with a kill -9 in the third", "of these on a ledger"),
)
WARM_UP: Final = 5
_WAIT_S: Final = 60.0


@dataclass
class Provider:
    """An OpenAI-compatible server that answers at once with the last line that it was told. While `holds` is set, the
    third call since `calls` was 0 is held."""

    url: str = ""
    calls: int = 0
    holds: bool = False
    held: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)

    def receive(self, body: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.holds and self.calls == len(AGENTS):
            self.held.set()
            self.released.wait(_WAIT_S)
        lines = str(body["messages"][-1]["content"]).splitlines()
        # Pantheon quotes what agents and users said.
        text = f"You said: {[line for line in lines if line and 'quoted' not in line][-1]}"
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage, "choices": [choice]}


@contextmanager
def provider() -> Iterator[Provider]:
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # With it, every answer would take 40 ms.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(made.receive(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        server.shutdown()


class Side:
    """A process of one side, which runs one turn at a time."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "bench.peers.graph_sides", *arguments]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._read() == "ready"

    def ask(self, session: str, turn: str | None = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"session": session, "turn": turn}) + "\n")
        self._process.stdin.flush()

    def take(self, session: str, turn: str | None = None) -> dict[str, Any]:
        self.ask(session, turn)
        taken: dict[str, Any] = json.loads(self._read())
        return taken

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{self.name} has ended.")
        return line


@dataclass
class Figures:
    taken: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    after_kill: int = 0
    on_record: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100, help="turns of each side (100)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    with World.start(Case("graph", "manual", ("ada",))) as world, provider() as asked:
        _make_agents()
        sides = [Side("Pantheon", "pantheon", asked.url, world.app_url)]
        # LangGraph's own tables are in a database of their own: its set-up would change ours.
        other = _other_database(world)
        for durability in ("exit", "async", "sync"):
            sides.append(Side(f"LangGraph, durability {durability}", "langgraph", asked.url, other, durability))
        rows = _measure(world, asked, sides, arguments.turns)
        for side in sides:
            side.kill()
    packages = ", ".join(f"{name} {version(name)}" for name in ("langgraph", "langgraph-checkpoint-postgres"))
    report.write(
        "graphs", COLUMNS, rows, f"{arguments.turns} turns of each side; {packages}", only_print=arguments.print
    )


def _measure(world: World, asked: Provider, sides: Sequence[Side], turns: int) -> list[list[str]]:
    found = {side.name: Figures() for side in sides}
    for number in range(WARM_UP + turns):
        answers = set()
        for side in sides:
            asked.calls = 0
            # Each turn is the first of its session. So all have the same prompt.
            taken = side.take(_make_session())
            answers.add(taken["answer"])
            if number >= WARM_UP:
                found[side.name].taken.append(taken)
            found[side.name].calls = asked.calls
        assert len(answers) == 1, answers
    for side in sides:
        found[side.name].after_kill, found[side.name].on_record = _kill(world, asked, side)
    return [[name, *_shown(figures)] for name, figures in found.items()]


def _shown(figures: Figures) -> list[str]:
    ms = statistics.median(taken["ms"] for taken in figures.taken)
    cpu = statistics.fmean(taken["cpu_ms"] for taken in figures.taken)
    return [f"{ms:.1f} ms", f"{cpu:.1f} ms", str(figures.calls), str(figures.after_kill), figures.on_record]


def _kill(world: World, asked: Provider, side: Side) -> tuple[int, str]:
    """Kill the side in its third call and let a new process go on. Returns how many calls that took in all, and how
    many of them the database knows with their cost."""
    session = _make_session()
    asked.calls, asked.holds = 0, True
    asked.held.clear()
    asked.released.clear()
    side.ask(session)
    assert asked.held.wait(_WAIT_S)
    side.kill()
    asked.holds = False
    asked.released.set()
    with psycopg.connect(world.server_url, autocommit=True) as owner:
        owner.execute("UPDATE turns SET lease_expires_at = clock_timestamp() WHERE session_id = %s", [session])
        row = owner.execute("SELECT id FROM turns WHERE session_id = %s", [session]).fetchone()
        side.start()
        side.take(session, str(row[0]) if row else "it")
        known = owner.execute(
            "SELECT count(*) FROM usage_ledger l JOIN turns t ON t.id = l.turn_id WHERE t.session_id = %s", [session]
        ).fetchone()
    assert known is not None
    return asked.calls, str(known[0])


def _make_agents() -> None:
    from shared.db.api.agents import record_agent
    from shared.db.engine import database

    for key in AGENTS:
        body = {"role_prompt": "Answer.", "model_alias": "fast", "max_output_tokens": 96, "temperature": None}
        record_agent(database(), TENANT, key, {"name": key.title(), "enabled": True, **body})


def _make_session() -> str:
    from shared.db.api.sessions import record_session
    from shared.db.engine import database

    session_id = uuid4()
    fields: dict[str, object] = {
        "title": "",
        "mode": "graph:panel",
        "agent_keys": list(AGENTS),
        "fan_out": "sequential",
    }
    record_session(database(), TENANT, "bench", session_id, fields)
    return str(session_id)


def _other_database(world: World) -> str:
    with psycopg.connect(world.server_url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE langgraph")
    return world.server_url.rpartition("/")[0] + "/langgraph"


if __name__ == "__main__":
    main()
