"""What a turn costs beside its models: Pantheon against a hand-written floor, in one run, turn about.

    python -m bench.turn            300 turns of 1, 3 and 5 agents, after a warm-up
    python -m bench.turn --turns 50

Three columns: the floor (`bench/floor.py`), the use case (`take_turn`), and the whole invocation (API Gateway event,
handler, response). The provider answers at once, in the process. Ratios hold from machine to machine; times do not.
"""

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from uuid6 import uuid7

from bench import floor
from local import postgres
from local.database import prepare
from shared.names import API_PREFIX, Env

TENANT = "bench"
ISSUER, AUDIENCE = "https://bench.localhost", "bench"
KEYS = ["ada", "ben", "cleo", "dan", "eve"]
WARM_UP = 30
MESSAGE = "What should we do first, and why?"


class Context:
    """As much of Lambda's context as the handlers read."""

    aws_request_id = "bench"
    function_name = "turns"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=300, help="turns per column and case (300)")
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder, postgres.start(Path(folder)) as server:
        urls = prepare(server.url)
        os.environ |= {
            Env.APP_DATABASE_URL: urls.app,
            Env.LLM_PROVIDER: "scripted",
            Env.JWT_ISSUER: ISSUER,
            Env.JWT_AUDIENCE: AUDIENCE,
        }
        print(f"{'agents':>6}  {'floor':>17}  {'take_turn':>17}  {'invocation':>17}  {'ratios':>12}")
        with psycopg.connect(server.url, autocommit=True, prepare_threshold=0) as connection:
            for count in (1, 3, 5):
                _report(count, _measure(_cases(connection, KEYS[:count]), turns))


def _cases(connection: psycopg.Connection[Any], keys: list[str]) -> list[Callable[[], object]]:
    """The same turn three ways, each in a session of its own."""
    from functions.turns.handler import handler
    from shared.catalog import catalog
    from shared.db.engine import database
    from shared.llm.port import Request
    from shared.llm.scripted import ScriptedProvider
    from shared.turns.accept import TurnRequest
    from shared.turns.run import Runner, take_turn

    provider, template = ScriptedProvider(), Request("", "", catalog()["fast"], (), 96)
    plain, core, whole = (_session(keys) for _ in range(3))
    runner = Runner(database(), provider, lambda: 25.0)
    posted = TurnRequest(TENANT, "bench", core, MESSAGE, agent_keys=tuple(keys))
    event = _event(whole, keys)
    return [
        lambda: floor.take_turn(connection, provider, template, plain, keys, MESSAGE),
        lambda: take_turn(runner, posted),
        lambda: _expect_201(handler(event, Context())),
    ]


def _expect_201(response: dict[str, Any]) -> None:
    if response["statusCode"] != 201:
        raise SystemExit(response["body"])


def _session(keys: list[str]) -> UUID:
    from shared.db.agents import record_agent
    from shared.db.engine import database
    from shared.db.sessions import record_session
    from shared.errors import AgentExists

    body = {"role_prompt": "Answer.", "model_alias": "fast", "max_output_tokens": 96, "temperature": None}
    for key in keys:
        try:
            record_agent(database(), TENANT, key, {"name": key.title(), "enabled": True, **body})
        except AgentExists:
            continue
    fields: dict[str, object] = {"title": "", "mode": "manual", "agent_keys": keys, "fan_out": "sequential"}
    session_id = uuid7()
    record_session(database(), TENANT, "bench", session_id, fields)
    return session_id


def _event(session_id: UUID, keys: list[str]) -> dict[str, Any]:
    path = f"{API_PREFIX}/sessions/{session_id}/turns"
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "tenant_id": TENANT, "roles": "[member]"}
    return {
        "version": "2.0",
        "routeKey": f"POST {API_PREFIX}/sessions/{{session_id}}/turns",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "localhost"},
        "requestContext": {
            "requestId": "bench",
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
        },
        "body": json.dumps({"message": MESSAGE, "agent_keys": keys}),
        "isBase64Encoded": False,
    }


def _measure(cases: list[Callable[[], object]], turns: int) -> list[list[float]]:
    """Milliseconds per turn and case. The cases take turns, so that whatever disturbs one disturbs all."""
    times: list[list[float]] = [[] for _ in cases]
    with redirect_stdout(io.StringIO()):
        for turn in range(WARM_UP + turns):
            for case, measured in zip(cases, times, strict=True):
                started = time.perf_counter()
                case()
                if turn >= WARM_UP:
                    measured.append((time.perf_counter() - started) * 1000)
    return times


def _report(count: int, times: list[list[float]]) -> None:
    medians = [statistics.median(measured) for measured in times]
    columns = [f"{m:6.2f} ms p95 {statistics.quantiles(t, n=20)[-1]:5.2f}" for m, t in zip(medians, times, strict=True)]
    ratios = " ".join(f"{median / medians[0]:.2f}" for median in medians[1:])
    print(f"{count:>6}  {'  '.join(columns)}  {ratios:>12}")


if __name__ == "__main__":
    main()
