"""Tests the calls of a turn in the journal and the ledger: while it runs, after its end, and in suspense."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.api.history import call_view
from functions.audit_schemas import CallView
from local.database import role_url
from shared.db.api import calls
from shared.db.api.calls import load_turn_calls
from shared.db.api.sessions import record_session_deletion
from shared.db.api.visibility import about
from shared.db.operations.suspense import record_settlement
from shared.db.schema.columns import COUNTS, TOKENS
from shared.domain.actor import Actor
from shared.domain.money import format_usd
from shared.errors import NotFound
from shared.llm.port import Request
from shared.names import Role
from tests.support.council_room import CouncilRoom, answer, unbilled, unknown
from tests.support.ledger_rows import entry, hours_ago, insert

ADMIN = Actor("tenant-1", "root", is_admin=True)
SHOWN = ("step", "attempt", "purpose", "agent_key", "status", "verdict", "reason")


def shown(room: CouncilRoom, turn_id: UUID) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in SHOWN) for row in load_turn_calls(room.db, room.actor, turn_id)]


def test_each_attempt_has_its_outcome_and_the_reason_for_which_it_was_posted(room: CouncilRoom) -> None:
    room.provider.enqueue(unbilled("throttled"), answer(), unknown(), unknown())
    turn_id = room.take("@writer @critic hello").turn_id
    assert shown(room, turn_id) == [
        (0, 1, "agent", "writer", "unbilled", None, "failed_attempt"),
        (0, 2, "agent", "writer", "succeeded", "reply", "reply"),
        (1, 1, "agent", "critic", "unknown", None, "unknown_outcome"),
        (1, 2, "agent", "critic", "unknown", "failed", "unknown_outcome"),
    ]


def test_a_call_that_runs_has_no_end_and_no_reason(room: CouncilRoom) -> None:
    seen: list[Any] = []

    def look(_: Request) -> str:
        turn_id = room.row("SELECT id FROM turns")["id"]
        seen.extend(load_turn_calls(room.open_database(), room.actor, turn_id))
        return "Violets."

    room.provider.enqueue("Roses.", look)
    room.take("@writer @critic hello")
    ended, running = seen
    assert (ended["status"], ended["verdict"], ended["reason"]) == ("succeeded", "reply", None)
    assert ended["ended_at"] >= ended["started_at"]
    assert ended["cost_usd"] > 0
    assert (running["status"], running["verdict"], running["reason"]) == ("intent", None, None)
    assert (running["ended_at"], running["cost_usd"]) == (None, 0)


def test_a_turn_without_calls_has_none_and_is_not_missing(room: CouncilRoom) -> None:
    turn_id = room.take("@writer hello", later=True).turn_id
    assert load_turn_calls(room.db, room.actor, turn_id) == []


def test_a_call_in_suspense_is_unknown_until_it_is_settled(room: CouncilRoom) -> None:
    room.provider.enqueue(unknown(), answer())
    turn_id = room.take("@writer hello").turn_id
    lost, _ = load_turn_calls(room.db, room.actor, turn_id)
    row = room.row("SELECT call_id, reserve_usd FROM llm_calls WHERE status = 'unknown'")
    assert (lost["status"], lost["reason"], lost["cost_usd"]) == ("unknown", "unknown_outcome", row["reserve_usd"])
    ops = room.open_database(role_url(room.owner_url, Role.OPS))
    counts = dict.fromkeys(COUNTS, 0) | {"input_tokens": 7}
    assert record_settlement(ops, row["call_id"], {"status": "succeeded", "cost_usd": Decimal("0.5"), **counts})
    settled, _ = load_turn_calls(room.db, room.actor, turn_id)
    assert (settled["status"], settled["reason"]) == ("succeeded", "unknown_outcome")
    assert (settled["cost_usd"], settled["input_tokens"]) == (Decimal("0.5"), 7)


def test_a_call_is_shown_with_the_fields_of_the_contract(room: CouncilRoom) -> None:
    (row,) = load_turn_calls(room.db, room.actor, room.take("@writer hello").turn_id)
    view = call_view(row)
    assert CallView.model_validate(view).model_dump(mode="json") == view
    assert (view["model_alias"], view["cost_usd"]) == ("fast", format_usd(row["cost_usd"]))
    assert list(view["usage"].values()) == [row[name] for name in TOKENS]


@pytest.mark.parametrize("actor", [Actor("tenant-1", "user-2"), Actor("tenant-2", "user-1", is_admin=True)])
def test_the_calls_of_a_foreign_turn_are_not_found(room: CouncilRoom, actor: Actor) -> None:
    turn_id = room.take("@writer hello").turn_id
    room.owner.execute("UPDATE sessions SET visibility = 'private'")
    assert len(load_turn_calls(room.db, ADMIN, turn_id)) == 1
    for missing in (turn_id, uuid4()):
        with pytest.raises(NotFound):
            load_turn_calls(room.db, actor, missing)


def test_the_calls_of_a_deleted_session_are_not_found(room: CouncilRoom) -> None:
    turn_id = room.take("@writer hello").turn_id
    record_session_deletion(room.db, room.actor, room.session_id)
    with pytest.raises(NotFound):
        load_turn_calls(room.db, ADMIN, turn_id)


def test_calls_and_their_posts_are_found_by_the_turn(room: CouncilRoom) -> None:
    """The turn's posts are found by its calls, however many posts a tenant has."""
    turn_id = room.take("@writer @critic hello").turn_id
    ((text, values),) = calls._CALLS.sent(about(room.actor, turn_id))
    with room.owner.transaction():
        insert(room.owner, [entry(hours_ago(1), "tenant-1") for _ in range(3000)])
        room.owner.execute("ANALYZE llm_calls, usage_ledger, turns, sessions")
        room.owner.execute("SET LOCAL ROLE pantheon_app")
        room.owner.execute("SET LOCAL enable_seqscan = off")
        room.owner.execute("SELECT set_config('app.tenant_id', %s, true)", [room.tenant_id])
        cursor = psycopg.RawCursor(room.owner)
        plan = [line["QUERY PLAN"] for line in cursor.execute(f"EXPLAIN {text}".encode(), values)]
        raise psycopg.Rollback
    (scan,) = [number for number, line in enumerate(plan) if " on usage_ledger" in line]
    assert "Index Scan using usage_ledger_one_post_per_call" in plan[scan], plan
    assert "Index Cond: (call_id = llm_calls.call_id)" in plan[scan + 1], plan
