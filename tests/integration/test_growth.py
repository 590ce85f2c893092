"""Tests that a turn's loads and prompts do not grow with its session: the newest summary and the newest turns."""

import json
import re
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from shared.db.engine import Row
from shared.db.protocol import HISTORY_TURNS, LOAD_NEW_TURN
from shared.llm.tokens import token_estimates
from tests.support.council_room import CouncilRoom, body
from tests.support.quoted import voices

# A summary every twelve turns, and two turns since in both sessions. Both drop history at the same step, which is at
# most 64 turns.
FEW, MANY = 50, 10_034
TURNS = """
    INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
      roster, plan, lease_epoch, response, completed_at)
    SELECT uuidv7(), s.tenant_id, s.id, 'user-1', n, 'completed', '', repeat('What now? ', 20), 'tag', 'sequential',
      '[{"key": "writer", "version": 1}]', '{"selected_agent_keys": ["writer"], "source": "tags", "unknown_tags": []}',
      1, '{}', now()
    FROM sessions s, generate_series(1, %(count)s) n WHERE s.id = %(session_id)s"""
REPLIES = """
    INSERT INTO replies (turn_id, position, tenant_id, agent_key, agent_version, name, status, text, cost_usd)
    SELECT id, 0, tenant_id, 'writer', 1, 'Writer', 'completed', repeat('Roses, of course. ', 20), 0
    FROM turns WHERE session_id = %(session_id)s"""
SUMMARIES = """
    INSERT INTO summaries (id, tenant_id, session_id, turn_id, through_turn_index, text, key_facts, decisions,
      open_questions, action_items, archived, fallbacks, items, archive, last_numbers)
    SELECT uuidv7(), tenant_id, session_id, id, turn_index, repeat('They talk about roses. ', 20), '["Roses it is."]',
      '[]', '[]', '[]', '{}', '[]',
      '[{"id": "F9", "list": "key_facts", "text": "Roses it is.", "turn_index": 12}]', '[]', '{"key_facts": 9}'
    FROM turns WHERE session_id = %(session_id)s AND turn_index %% 12 = 0"""


def long_session(room: CouncilRoom, count: int, *, summarised: bool = True) -> UUID:
    """Make a session of this number of turns without running them."""
    params = {"session_id": room.make_session(), "count": count}
    for statement in (TURNS, REPLIES, *([SUMMARIES] if summarised else [])):
        room.owner.execute(statement.encode(), params)
    room.owner.execute(b"UPDATE sessions SET next_turn_index = %(count)s + 1 WHERE id = %(session_id)s", params)
    return params["session_id"]  # type: ignore[return-value]


def params(room: CouncilRoom, session_id: UUID, turns_per_minute: int = 0) -> dict[str, object]:
    rate = {"b_tenant_id": room.tenant_id, "b_turns_per_minute": turns_per_minute, "b_active_turns": 20}
    return {
        "b_session_id": session_id,
        "b_idempotency_key": "key-1",
        "b_is_chat": False,
        "b_made": None,
        "b_history_turns": HISTORY_TURNS,
        **rate,
    } | room.actor.params


def load(room: CouncilRoom, session_id: UUID) -> Row:
    (loaded,) = room.db.read(room.tenant_id, LOAD_NEW_TURN, params(room, session_id))
    return loaded


def size(loaded: Row) -> int:
    """Return the number of characters, with one digit for each number, because 10,034 has more digits than 50."""
    return len(re.sub(r"\d+", "0", json.dumps([loaded["history"], loaded["summary"]], default=str)))


@pytest.mark.parametrize("summarised", [True, False])
def test_a_turn_loads_and_sends_no_more_in_a_long_session_than_in_a_short_one(
    room: CouncilRoom, summarised: bool
) -> None:
    sizes, sent = [], []
    for count in (FEW, MANY):
        session_id = long_session(room, count, summarised=summarised)
        loaded = load(room, session_id)
        assert len(loaded["history"]) == HISTORY_TURNS
        assert (loaded["summary"] is not None) == summarised
        sizes.append(size(loaded))
        before = len(room.provider.requests)
        # A process that has learned about tokens in the first session would fit more into the second.
        token_estimates.cache_clear()
        turn = body(room.take("@writer go on", session_id=session_id))
        assert turn["turn_index"] == count + 1
        requests = room.provider.requests[before:]
        sent.append([sum(len(message.text) for message in request.messages) for request in requests])
    assert sizes[0] == sizes[1]
    assert sent[0] == sent[1]


def test_the_newest_summary_is_found_however_many_turns_have_brought_none_since(room: CouncilRoom) -> None:
    session_id = long_session(room, FEW + 200)
    room.owner.execute(b"DELETE FROM summaries WHERE through_turn_index > 36")
    summary = load(room, session_id)["summary"]
    assert (summary["through_turn_index"], summary["key_facts"]) == (36, ["Roses it is."])
    turn = body(room.take("@writer go on", session_id=session_id))
    assert turn["status"] == "completed"
    assert ("user", "key_facts", "Roses it is.") in voices(room.provider.requests[0].messages)


def nodes(plan: Row) -> list[Row]:
    return [plan, *(below for child in plan.get("Plans", ()) for below in nodes(child))]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_plan_uses_indexes_on_tables_without_statistics(room: CouncilRoom, mode: str) -> None:
    """The application's role reads with its policies. The second plan is the generic one of a statement that
    ran often.
    """
    session_id = long_session(room, MANY)
    for _ in range(3):
        long_session(room, 2000)
    # All of these turns are of the last minute, and the rate limits how many are read. A function reads them, and
    # test_turn_limits counts its reads.
    ((load, values),) = LOAD_NEW_TURN.sent(params(room, session_id, turns_per_minute=20))
    with psycopg.connect(room.app_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        connection.execute(b"SELECT set_config('app.tenant_id', %s, false)", [room.tenant_id])
        connection.execute(f"PREPARE load AS {load}".encode())
        arguments = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
        run = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE load ({arguments})"
        (row,) = connection.execute(run.encode()).fetchall()
    found = nodes(row["QUERY PLAN"][0]["Plan"])
    read = [node for node in found if node.get("Relation Name") in ("turns", "replies", "summaries", "llm_calls")]
    assert len(read) >= 5
    for node in read:
        assert re.search("Index|Bitmap", node["Node Type"]), node
        rows = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
        assert rows <= HISTORY_TURNS, node
