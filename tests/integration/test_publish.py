"""Tests that publishing is all or nothing: after any failure in it, the outcomes are kept and paid once."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from shared.db.protocol import ACCEPT, LOAD_CALLS, LOAD_NEW_TURN, PUBLISH
from shared.domain.money import Usage
from shared.domain.turn import format_time
from shared.errors import DatabaseUnavailable, JournalUnavailable, PublishFailed
from shared.settings import settings
from shared.turns import run
from tests.support.council_room import DEEP_COST, FAST_COST, CouncilRoom, answer, body, names

# Each table that publishing writes, and the condition that tells its write from earlier ones.
WRITES = {
    "turns": "UPDATE ON turns FOR EACH ROW WHEN (NEW.status = 'completed')",
    "llm_calls": "UPDATE ON llm_calls FOR EACH ROW WHEN (NEW.posted_at IS NOT NULL)",
    "usage_ledger": "INSERT ON usage_ledger FOR EACH ROW",
    "replies": "INSERT ON replies FOR EACH ROW",
    "audit_events": "INSERT ON audit_events FOR EACH ROW",
    "budgets": "INSERT ON budgets FOR EACH ROW WHEN (NEW.spent_usd > 0)",
}
# A program's error, a passing error, and an error of a lock's queue.
BREAKS = {"P0001": PublishFailed, "40P01": JournalUnavailable, "23514": PublishFailed}


@contextmanager
def broken(room: CouncilRoom, write: str, sqlstate: str = "P0001") -> Iterator[None]:
    """Let every such write raise."""
    room.owner.execute(
        f"""CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'broken on purpose' USING ERRCODE = '{sqlstate}'; END $$""".encode()
    )
    room.owner.execute(f"CREATE TRIGGER breaks BEFORE {write} EXECUTE FUNCTION break()".encode())
    try:
        yield
    finally:
        room.owner.execute(b"DROP FUNCTION break() CASCADE")


def nothing_is_published(room: CouncilRoom) -> bool:
    turn = room.row("SELECT status, response, completed_at FROM turns")
    tables = ("replies", "usage_ledger", "audit_events", "summaries")
    rows = [room.rows(f"SELECT * FROM {table}") for table in tables]
    spent = sum(row["spent_usd"] for row in room.rows("SELECT spent_usd FROM budgets"))
    return turn == {"status": "running", "response": None, "completed_at": None} and not any(rows) and spent == 0


@pytest.mark.parametrize("table", WRITES)
@pytest.mark.parametrize("sqlstate", BREAKS)
def test_a_write_that_fails_leaves_nothing_visible_and_no_outcome_lost(
    room: CouncilRoom, table: str, sqlstate: str
) -> None:
    room.provider.enqueue(answer("Roses."), answer("Violets."))
    with broken(room, WRITES[table], sqlstate), pytest.raises(BREAKS[sqlstate]) as caught:
        room.take("@writer @researcher hello", idempotency_key="key-1")
    assert caught.value.status >= 500
    assert nothing_is_published(room)
    assert room.calls("status, verdict, cost_usd, posted_at, output") == [
        ("succeeded", "reply", FAST_COST, None, "Roses."),
        ("succeeded", "reply", DEEP_COST, None, "Violets."),
    ]
    room.expire_lease()
    turn = body(room.resume(room.row("SELECT id FROM turns")["id"]))
    assert (turn["status"], turn["output"]) == ("completed", "Writer: Roses.\n\nResearcher: Violets.")
    assert len(room.provider.requests) == 2
    assert room.accounts() == {"tenant": FAST_COST + DEEP_COST}
    assert body(room.take("@writer @researcher hello", idempotency_key="key-1")) == turn


def test_a_turn_is_stored_as_its_response_tells_it(room: CouncilRoom) -> None:
    turn = body(room.take("@writer @researcher hello"))
    stored = room.row("SELECT status, message, plan, created_at, completed_at FROM turns")
    assert stored["created_at"] < stored["completed_at"]
    told = {**stored, **{name: format_time(stored[name]) for name in ("created_at", "completed_at")}}
    assert {name: turn[name] for name in told} == told
    assert (turn["message"], turn["steps_finished"]) == ("@writer @researcher hello", 2)


def test_a_reply_is_stored_as_the_response_tells_it(room: CouncilRoom) -> None:
    usage = Usage(11, 12, 13, 14, 15)
    room.provider.enqueue(answer("Roses.", usage, "max_tokens"), *[answer("")] * 4)
    turn = body(room.take("@writer @researcher hello"))
    assert [reply["status"] for reply in turn["replies"]] == ["completed", "failed"]
    told = [
        {
            **{name: value for name, value in reply.items() if name not in ("error", "usage", "cost_usd")},
            **reply["usage"],
            "error_code": reply["error"] and reply["error"]["code"],
            "cost_usd": Decimal(reply["cost_usd"]),
        }
        for reply in turn["replies"]
    ]
    stored = room.rows("SELECT * FROM replies ORDER BY position")
    assert [{name: row[name] for name in told[0]} for row in stored] == told


def test_a_summary_that_cannot_be_stored_is_published_later_and_asked_for_once(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_SUMMARY_AFTER_TURNS", "2")
    settings.cache_clear()
    room.take("@writer hello")
    extracted = '{"add": {"key_facts": ["It is May."]}, "replace": [], "close": []}'
    room.provider.enqueue("Roses.", "They talk.", extracted)
    with broken(room, "INSERT ON summaries FOR EACH ROW"), pytest.raises(PublishFailed):
        room.take("@writer and now?")
    turn_id = room.row("SELECT id FROM turns WHERE status = 'running'")["id"]
    left = "SELECT text FROM replies WHERE turn_id = %s UNION ALL SELECT text FROM summaries"
    assert room.rows(left, turn_id) == []
    room.expire_lease()
    turn = body(room.resume(turn_id))
    assert (turn["status"], turn["output"], turn["summary_triggered"]) == ("completed", "Roses.", True)
    assert room.row("SELECT text, key_facts FROM summaries") == {"text": "They talk.", "key_facts": ["It is May."]}
    assert len(room.provider.requests) == 4


def test_a_summary_is_stored_with_the_fallbacks_that_are_its_own(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("AFTER_TURNS", "2"), ("ALIAS", "deep"), ("MAX_TOKENS", "77")):
        monkeypatch.setenv(f"PANTHEON_SUMMARY_{name}", value)
    settings.cache_clear()
    room.take("@writer hello")
    room.provider.enqueue("No JSON.", "Roses.", "They talk.", "No JSON.")
    turn = body(room.take("hello", mode="orchestrator"))
    routing, structure = turn["fallbacks"]
    assert (routing["component"], structure["component"]) == ("routing", "summary_structure")
    asked = room.provider.requests[-2]
    assert (asked.model.alias, asked.max_output_tokens) == ("deep", 77)
    stored = room.row("SELECT session_id, turn_id, through_turn_index, text, fallbacks FROM summaries")
    assert stored == {
        "session_id": room.session_id,
        "turn_id": UUID(turn["id"]),
        "through_turn_index": 2,
        "text": "They talk.",
        "fallbacks": [structure],
    }


def test_repeated_failures_of_publish_cost_nothing(room: CouncilRoom) -> None:
    with broken(room, WRITES["replies"]):
        with pytest.raises(PublishFailed):
            room.take("@writer hello")
        turn_id = room.row("SELECT id FROM turns")["id"]
        for _ in range(3):
            room.expire_lease()
            with pytest.raises(PublishFailed):
                room.resume(turn_id)
        assert nothing_is_published(room)
    room.expire_lease()
    turn = body(room.resume(turn_id))
    assert (turn["error"]["code"], names(turn["replies"])) == ("turn_abandoned", [("writer", "completed", None)])
    assert len(room.provider.requests) == 1


def write_a_strange_call(room: CouncilRoom, status: str) -> None:
    """Write a call without an outcome into the turn's journal."""
    room.owner.execute(
        """INSERT INTO llm_calls (call_id, attempt, status, tenant_id, session_id, turn_id, step, purpose, agent_key,
            agent_version, model_alias, provider, model_id, request_hash, payer, period, reserve_usd, rates)
        SELECT gen_random_uuid(), 9, %s, tenant_id, session_id, turn_id, step, purpose, agent_key,
            agent_version, model_alias, provider, model_id, request_hash, payer, period, reserve_usd, rates
        FROM llm_calls""",
        (status,),
    )


def test_a_call_that_is_still_an_intent_at_the_end_is_in_suspense(room: CouncilRoom) -> None:
    """No runner leaves such a call, and a claim would make it unknown."""

    def leave_an_intent() -> None:
        write_a_strange_call(room, "intent")
        room.owner.execute("UPDATE budgets SET held_usd = 2 * held_usd")

    room.db.before(PUBLISH, leave_an_intent)
    assert room.take("@writer hello").published
    (_, status, reserve, cost) = room.calls("attempt, status, reserve_usd, cost_usd")[1]
    assert (status, cost, room.accounts()["suspense"]) == ("unknown", reserve, reserve)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (None, PublishFailed),
        (DatabaseUnavailable, JournalUnavailable),
        (psycopg.errors.DataCorrupted, JournalUnavailable),
    ],
    ids=["read", "no database", "not read"],
)
def test_journal_with_a_foreign_call_is_not_published_and_is_given_up(
    room: CouncilRoom, error: type[Exception] | None, raised: type[Exception]
) -> None:
    """No runner of the turn has left the call, so it is a defect or a manual change."""

    def fail() -> None:
        if error:
            raise error

    room.db.before(PUBLISH, lambda: write_a_strange_call(room, "unknown"))
    room.db.before(PUBLISH, pytest.fail)
    room.db.before(LOAD_CALLS, fail)
    with pytest.raises(raised):
        room.take("@writer hello")
    assert nothing_is_published(room)
    assert room.calls()[0] == (0, 1, "fast", "succeeded", "reply", None)
    room.owner.execute("DELETE FROM llm_calls WHERE attempt = 9")


@pytest.mark.parametrize("sqlstate", ["P0001", "40P01", "23502"])
def test_call_without_a_journal_row_is_not_made_and_the_one_before_is_kept(room: CouncilRoom, sqlstate: str) -> None:
    """A missing column is not always a refused hold."""
    second = "INSERT ON llm_calls FOR EACH ROW WHEN (NEW.step = 1)"
    with broken(room, second, sqlstate), pytest.raises(JournalUnavailable):
        room.take("@writer @researcher hello")
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    assert len(room.provider.requests) == 1
    room.expire_lease()
    room.resume(room.row("SELECT id FROM turns")["id"])
    assert len(room.provider.requests) == 2


@pytest.mark.parametrize("sqlstate", ["P0001", "40P01", "23502", "23505"])
def test_first_call_without_a_journal_row_leaves_no_turn(room: CouncilRoom, sqlstate: str) -> None:
    """A missing column is not always a refused hold, and a used key is not always that of a faster request."""
    room.db.before(ACCEPT, lambda: None)
    room.db.before(ACCEPT, pytest.fail)
    with broken(room, "INSERT ON llm_calls FOR EACH ROW", sqlstate), pytest.raises(JournalUnavailable):
        room.take("@writer hello")
    assert room.provider.requests == []
    assert room.rows("SELECT id FROM turns UNION ALL SELECT call_id FROM llm_calls") == []


def test_turn_that_cannot_be_loaded_leaves_nothing(room: CouncilRoom) -> None:
    def fail() -> None:
        raise DatabaseUnavailable

    room.db.before(LOAD_NEW_TURN, fail)
    with pytest.raises(JournalUnavailable):
        room.take("@writer hello")
    assert room.rows("SELECT id FROM turns") == []


def test_outcome_is_recorded_when_our_own_code_raises(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(run, "publish", publish)
        with pytest.raises(ZeroDivisionError):
            room.take("@writer hello")
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    room.expire_lease()
    assert body(room.resume(room.row("SELECT id FROM turns")["id"]))["status"] == "completed"
    assert len(room.provider.requests) == 1
