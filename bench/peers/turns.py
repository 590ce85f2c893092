"""The loop of every peer's program. It uses only the standard library, because it runs in the peer's environment.

A program takes a turn for each line that it reads, and answers with a line of the turn's figures. A turn is a message
to a manager and the three agents that it chooses. The peer keeps the conversation in Postgres in its own way. Then one
commit writes the turn's four calls to a ledger.
"""

import json
import sys
import time
from collections.abc import Callable

KEYS = ("ada", "ben", "cleo")
MESSAGE = "What should we do first, and why?"
DECISION = json.dumps({"selected_agent_keys": KEYS, "reason": "They know."})
TEXT = "I would first find out who needs it and by when, and write that down before anything else is decided. " * 3
USAGE = {"input_tokens": 420, "output_tokens": 70}
# As long as one of Pantheon's in the same run.
SESSION_TURNS = 30
LEDGER = """
    CREATE TABLE IF NOT EXISTS peer_ledger (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session_id text NOT NULL, step int NOT NULL,
      agent_key text NOT NULL, input_tokens bigint NOT NULL, output_tokens bigint NOT NULL, amount_usd numeric NOT NULL,
      created_at timestamptz NOT NULL DEFAULT clock_timestamp())"""
POST = """
    INSERT INTO peer_ledger (session_id, step, agent_key, input_tokens, output_tokens, amount_usd)
    SELECT r.* FROM jsonb_to_recordset(%s::jsonb) AS r (session_id text, step int, agent_key text, input_tokens bigint,
      output_tokens bigint, amount_usd numeric)"""


def ledger_rows(session_id: str) -> str:
    """The rows of one turn's calls, for POST."""
    calls = enumerate(("manager", *KEYS))
    fixed = {"session_id": session_id, "amount_usd": "0.0001", **USAGE}
    return json.dumps([{"step": step, "agent_key": key, **fixed} for step, key in calls])


def serve(take_turn: Callable[[str], str]) -> None:
    """`take_turn` takes one in the session of that id and returns its last reply. Milliseconds, and those of CPU."""
    for number, _ in enumerate(sys.stdin):
        started, busy = time.perf_counter(), time.process_time()
        reply = take_turn(f"session-{number // SESSION_TURNS}")
        took = [(time.perf_counter() - started) * 1000, (time.process_time() - busy) * 1000]
        if reply != TEXT:
            raise SystemExit(f"not a turn: {reply!r}")
        print(json.dumps(took), flush=True)
