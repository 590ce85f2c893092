"""Measure how long a piece of text takes from the provider to the client, through gateway and function.

    python -m bench.first_delta                 writes its table, from 200 turns of each case
    python -m bench.first_delta --turns 20 --print

The provider is a process of its own and writes each chunk's moment into its text. The client is this process. Between
them is the whole local stack.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Final
from urllib.parse import urlsplit

from bench import report
from bench.clocked_provider import CHUNKS, clocked_provider, sent_at
from bench.turn import WARM_UP
from bench.world import KEYS, MESSAGE, Case
from local.stack import Stack
from shared.names import API_PREFIX, Env, LocalEnv

LIMIT_MS: Final = 15.0
CASES: Final = (
    Case("manual, 1 agent", "manual", KEYS[:1]),
    Case("roundtable, 4 agents", "roundtable", KEYS[:4]),
    Case("parallel, 3 agents", "manual", KEYS[:3], fan_out="parallel"),
)
COLUMNS: Final = ("case", "`turn`, median", "first delta, median", "p95", "later deltas, median", "p95")
# A new session before one is due for a summary.
_SESSION_TURNS: Final = 25


@dataclass(slots=True)
class Watched:
    """Milliseconds of one or more turns.

    `turn` is from the request to the event `turn`. `first` and `later` are from a chunk of the provider to the client.
    """

    turn: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)


class Client:
    """A client of the stack with one connection, which stays open."""

    def __init__(self, stack: Stack) -> None:
        parts = urlsplit(stack.url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port)
        self._headers = {"Authorization": f"Bearer {stack.token(tenant='bench')}", "Content-Type": "application/json"}

    def post(self, path: str, body: object, **headers: str) -> HTTPResponse:
        self._connection.request("POST", f"{API_PREFIX}/{path}", json.dumps(body), {**self._headers, **headers})
        return self._connection.getresponse()

    def make(self, path: str, body: object) -> Any:
        response = self.post(path, body)
        made = json.loads(response.read())
        if response.status != 201:
            raise SystemExit(made)
        return made

    def watch(self, session_id: str, body: object, watched: Watched) -> None:
        """Take a turn, and note when its events came."""
        asked, heard = time.monotonic_ns(), list[float]()
        response = self.post(f"sessions/{session_id}/turns", body, Accept="text/event-stream")
        for name, data in _events(response):
            now = time.monotonic_ns()
            if name == "turn":
                watched.turn.append((now - asked) / 1e6)
            elif name == "reply.delta":
                heard += [(now - sent) / 1e6 for sent in sent_at(json.loads(data)["text"])]
        if name != "turn.ended":
            raise SystemExit(f"The last event is {name}: {data}")
        watched.first.append(heard[0])
        watched.later += heard[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200, help="turns of each case (200)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    given = parser.parse_args()
    with running() as client:
        watched = [watch(client, case, given.turns) for case in CASES]
    rows = [_row(case, each) for case, each in zip(CASES, watched, strict=True)]
    what = f"{given.turns} turns of each case, {CHUNKS} chunks a call"
    report.write("first delta", COLUMNS, rows, what, only_print=given.print)
    if any(statistics.median(each.first) > LIMIT_MS for each in watched):
        raise SystemExit(f"A first delta takes more than {LIMIT_MS:.0f} ms at the median.")


def _row(case: Case, watched: Watched) -> list[str]:
    figures = [statistics.median(watched.turn)]
    for times in (watched.first, watched.later):
        figures += [statistics.median(times), statistics.quantiles(times, n=20)[-1]]
    return [case.name, *(f"{milliseconds:.1f} ms" for milliseconds in figures)]


@contextmanager
def running() -> Iterator[Client]:
    """A client of a local stack whose provider streams."""
    with tempfile.TemporaryDirectory() as folder, clocked_provider() as url:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANTHEON_")}
        ours = {LocalEnv.PORT: "0", LocalEnv.DATA_DIR: folder, Env.LLM_PROVIDER: "openai", Env.LLM_BASE_URL: url}
        ours |= {Env.SUMMARY_AFTER_TURNS: "40", Env.SUMMARY_AFTER_TOKENS: "1000000"}
        with Stack.start(inherited | {str(name): value for name, value in ours.items()}) as stack:
            client = Client(stack)
            for key in KEYS:
                agent = {"key": key, "name": key.title(), "role_prompt": "Answer.", "model_alias": "fast"}
                client.make("agents", agent)
            yield client


def watch(client: Client, case: Case, turns: int) -> Watched:
    """Take `turns` turns of a case, after WARM_UP turns that do not count."""
    watched, session_id = Watched(), ""
    session = {"title": "", "mode": case.mode, "agent_keys": list(case.keys), "fan_out": case.fan_out}
    for number in range(WARM_UP + turns):
        if number % _SESSION_TURNS == 0:
            session_id = client.make("sessions", session)["id"]
        if number == WARM_UP:
            watched = Watched()
        client.watch(session_id, {"message": MESSAGE}, watched)
    return watched


def _events(response: HTTPResponse) -> Iterator[tuple[str, str]]:
    """Name and data of each event, as soon as its data has come."""
    name = ""
    while line := response.readline().decode():
        field_name, _, value = line.rstrip("\n").partition(": ")
        if field_name == "event":
            name = value
        elif field_name == "data":
            yield name, value


if __name__ == "__main__":
    main()
