"""Tests that an abandoned turn is claimed and continued: its answers stay, and the missing calls are made."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from shared.db.protocol import CLAIM, FRUITLESS_CLAIMS, PUBLISH
from shared.errors import DatabaseUnavailable, JournalUnavailable
from shared.llm.port import Request
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import FAST_COST, CouncilRoom, Killed, answer, body, names, prompt, unbilled, unknown
from tests.support.quoted import quoted, voices


def die(_: Request) -> str:
    """End the process during its call."""
    raise Killed


def test_a_turn_is_claimed_only_when_its_lease_has_run_out(room: CouncilRoom) -> None:
    claims: list[Any] = []

    def claim(_: Request) -> str:
        turn_id = room.row("SELECT id FROM turns")["id"]
        claims.append(room.resume(turn_id, room.runner(db=room.open_database())))
        return "Roses."

    room.provider.enqueue(claim)
    outcome = room.take("@writer hello")
    claims.append(room.resume(outcome.turn_id))
    assert claims == [None, None]
    assert room.row("SELECT lease_epoch, expired_claims FROM turns") == {"lease_epoch": 1, "expired_claims": 0}


def test_leased_turn_is_not_claimed_when_another_one_is_abandoned(room: CouncilRoom) -> None:
    claims: list[Any] = []

    def claim(_: Request) -> str:
        turn_id = room.row("SELECT id FROM turns WHERE id <> %s", left_behind)["id"]
        claims.append(room.resume(turn_id, room.runner(db=room.open_database())))
        return "Roses."

    room.provider.enqueue(die, claim)
    left_behind = room.take_until_killed("@writer hello")
    assert room.take("@writer hello", session_id=room.make_session()).published
    assert claims == [None]
    assert body(room.resume(left_behind))["status"] == "completed"


def test_a_turn_of_another_tenant_cannot_be_claimed(room: CouncilRoom) -> None:
    room.provider.enqueue(die)
    turn_id = room.take_until_killed("@writer hello")
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        assert other.resume(turn_id) is None
    assert room.resume(turn_id) is not None


def test_a_call_that_died_with_its_process_is_unknown_at_its_reserve(room: CouncilRoom) -> None:
    seen: list[Any] = []

    def look(_: Request) -> Any:
        seen.append(
            room.row("SELECT status, verdict, cost_usd, reserve_usd, finished_at FROM llm_calls WHERE attempt = 1")
        )
        seen.append(room.budget("tenant:tenant-1"))
        return answer()

    room.provider.enqueue(die, look)
    turn_id = room.take_until_killed("@writer hello")
    assert room.calls() == [(0, 1, "fast", "intent", None, None)]
    turn = body(room.resume(turn_id))
    lost, budget = seen
    assert (lost["status"], lost["verdict"], lost["finished_at"]) == ("unknown", None, None)
    assert lost["cost_usd"] == lost["reserve_usd"] > 0
    assert budget == {"held_usd": lost["reserve_usd"] * 2, "spent_usd": 0}
    assert room.accounts() == {"suspense": lost["reserve_usd"], "tenant": FAST_COST}
    assert (turn["cost_usd"], turn["platform_cost_usd"]) == (str(FAST_COST), "0")


def test_resumed_turn_replays_its_answers_and_makes_the_missing_calls(room: CouncilRoom) -> None:
    room.provider.enqueue("Roses.", unbilled("refused"), die, "Lilies.")
    turn_id = room.take_until_killed("@writer @researcher @critic hello")
    outcome = room.resume(turn_id)
    turn = body(outcome)
    assert names(turn["replies"]) == [
        ("writer", "completed", None),
        ("researcher", "failed", "refused"),
        ("critic", "completed", None),
    ]
    assert turn["output"] == "Writer: Roses.\n\nCritic: Lilies."
    assert room.calls() == [
        (0, 1, "fast", "succeeded", "reply", None),
        (1, 1, "deep", "unbilled", "failed", "refused"),
        (2, 1, "fast", "unknown", None, None),
        (2, 2, "fast", "succeeded", "reply", None),
    ]
    assert quoted("Writer", "Roses.") in prompt(room.provider.requests[3])
    # Earlier processes counted their own calls, and the audit trail has them.
    assert outcome is not None
    assert [(call.model_alias, call.status) for call in outcome.calls] == [("fast", "succeeded")]
    journal = "call_id::text, step, attempt, purpose, model_alias, status, verdict, error_code AS error"
    attempts = room.row("SELECT detail -> 'attempts' AS attempts FROM audit_events")["attempts"]
    assert attempts == room.rows(f"SELECT {journal} FROM llm_calls ORDER BY step, attempt")


def test_reply_is_the_same_in_each_process_that_publishes_it(room: CouncilRoom) -> None:
    cut = answer("Roses.", stop_reason="max_tokens")
    room.provider.enqueue(cut, "Lilies.", cut, die, "Lilies.")
    (whole, _) = body(room.take("@writer @critic hello"))["replies"]
    turn_id = room.take_until_killed("@writer @critic hello", session_id=room.make_session())
    assert body(room.resume(turn_id))["replies"][0] == whole
    assert (whole["stop_reason"], whole["text"]) == ("max_tokens", "Roses.")


def test_a_resumed_turn_counts_the_attempts_that_were_answered_and_not_those_that_died(room: CouncilRoom) -> None:
    room.provider.enqueue(unknown(), die, unbilled("throttled"))
    turn = body(room.resume(room.take_until_killed("@writer hello")))
    assert names(turn["replies"]) == [("writer", "failed", "throttled")]
    assert [row[3:] for row in room.calls()] == [
        ("unknown", None, "timeout"),
        ("unknown", None, None),
        ("unbilled", "failed", "throttled"),
    ]


PLAN = {"selected_agent_keys": ["writer", "researcher"], "source": "tags", "unknown_tags": ["nobody"]}


@pytest.mark.parametrize("later", [False, True], ids=["accepted with it", "accepted before"])
def test_the_plan_is_stored_before_the_first_agent_is_asked(room: CouncilRoom, later: bool) -> None:
    room.provider.enqueue(die)
    with suppress(Killed):
        room.take("@writer @researcher @nobody hello", later=later)
        room.resume(room.row("SELECT id FROM turns")["id"])
    assert len(room.provider.requests) == 1
    assert room.row("SELECT plan FROM turns") == {"plan": PLAN}


def test_plan_is_kept_when_a_process_resumes_for_the_summary(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Env.SUMMARY_AFTER_TURNS, "2")
    settings.cache_clear()
    room.take("@critic before")
    room.provider.enqueue("Roses.", "Violets.", die)
    turn_id = room.take_until_killed("@writer @researcher @nobody hello")
    purposes = room.rows("SELECT purpose FROM llm_calls WHERE turn_id = %s ORDER BY step", turn_id)
    assert [row["purpose"] for row in purposes] == ["agent", "agent", "summary_text"]
    assert room.row("SELECT plan FROM turns WHERE id = %s", turn_id) == {"plan": PLAN}


def test_a_resumed_turn_keeps_its_plan_its_agents_and_its_history(room: CouncilRoom) -> None:
    room.take("@critic before")
    room.change_agent("researcher", name="The Researcher")
    room.provider.enqueue("Roses.", die)
    turn_id = room.take_until_killed("@writer @researcher hello")
    plan = room.row("SELECT plan FROM turns WHERE id = %s", turn_id)["plan"]
    room.owner.execute("UPDATE turns SET message = '@critic @nobody now' WHERE id = %s", (turn_id,))
    room.owner.execute("UPDATE sessions SET agent_keys = '{critic}', mode = 'roundtable'")
    room.change_agent("researcher", role_prompt="You are somebody else.", enabled=False)
    turn = body(room.resume(turn_id))
    assert (
        turn["plan"] == plan == {"selected_agent_keys": ["writer", "researcher"], "source": "tags", "unknown_tags": []}
    )
    assert [reply["agent_version"] for reply in turn["replies"]] == [1, 2]
    asked = room.provider.requests[-1]
    assert "You are the researcher." in asked.messages[0].text
    assert voices(asked.messages)[0] == ("user", "user", "@critic before")


@pytest.mark.parametrize(("answered", "deaths"), [(0, 3), (1, 4)])
def test_turn_ends_with_its_answers_after_three_fruitless_claims(room: CouncilRoom, answered: int, deaths: int) -> None:
    """A claim counts if no outcome was recorded since the claim before, so that an answer allows one more death."""
    room.provider.enqueue(*[answer("Roses.")] * answered, *[die] * deaths)
    turn_id = room.take_until_killed("@writer @critic hello", idempotency_key="key-1")
    for _ in range(deaths - 1):
        with pytest.raises(Killed):
            room.resume(turn_id)
        room.expire_lease()
    turn = body(room.resume(turn_id))
    expected = [("writer", "completed", None), ("critic", "skipped", "turn_abandoned")]
    assert names(turn["replies"]) == (expected if answered else [("writer", *expected[1][1:]), expected[1]])
    assert (turn["status"], turn["error"]["code"]) == ("failed", "turn_abandoned")
    assert len(room.provider.requests) == answered + deaths
    assert room.accounts().get("tenant", Decimal(0)) == FAST_COST * answered
    assert room.take("@writer @critic hello", idempotency_key="key-1").replayed


def test_claim_is_fruitful_when_an_answer_was_recorded_before_the_next_death(room: CouncilRoom) -> None:
    room.provider.enqueue(die, die, "Roses.", die)
    turn_id = room.take_until_killed("@writer @critic hello")
    for expected in (1, 2, 2):
        try:
            room.resume(turn_id)
        except Killed:
            room.expire_lease()
        assert room.row("SELECT expired_claims FROM turns") == {"expired_claims": expected}


def test_a_claim_that_dies_before_its_commit_changes_nothing(room: CouncilRoom) -> None:
    def fail() -> None:
        raise Killed

    room.provider.enqueue(die)
    turn_id = room.take_until_killed("@writer hello")
    room.db.hold(CLAIM, fail)
    with pytest.raises(Killed):
        room.resume(turn_id)
    assert room.row("SELECT lease_epoch, status FROM turns") == {"lease_epoch": 1, "status": "running"}
    assert room.resume(turn_id) is not None


@pytest.mark.parametrize("error", [psycopg.errors.CheckViolation, DatabaseUnavailable])
def test_claim_that_fails_to_commit_is_not_counted_and_is_repeated(room: CouncilRoom, error: type[Exception]) -> None:
    def fail() -> None:
        raise error

    room.provider.enqueue(die)
    turn_id = room.take_until_killed("@writer hello")
    room.db.hold(CLAIM, fail)
    with pytest.raises(JournalUnavailable):
        room.resume(turn_id)
    assert room.row("SELECT lease_epoch, expired_claims FROM turns") == {"lease_epoch": 1, "expired_claims": 0}
    assert body(room.resume(turn_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("plan", "read"),
    [
        (None, None),
        (PLAN, PLAN),
        ({"of": "another release"}, {"selected_agent_keys": [], "source": "default", "unknown_tags": []}),
    ],
    ids=["none yet", "a plan", "nobody's"],
)
def test_turn_that_cannot_be_given_up_ends_with_the_readable_part_of_its_plan(
    room: CouncilRoom, plan: dict[str, Any] | None, read: dict[str, Any] | None
) -> None:
    turn_id = room.take("@writer hello", later=True).turn_id
    room.owner.execute("UPDATE turns SET plan = %s, expired_claims = %s", (plan and Jsonb(plan), FRUITLESS_CLAIMS + 1))
    turn = body(room.resume(turn_id))
    assert (turn["status"], turn["error"]["code"], turn["plan"]) == ("failed", "turn_abandoned", read)
    skipped = [reply["agent_key"] for reply in turn["replies"] if reply["status"] == "skipped"]
    assert skipped == (read["selected_agent_keys"] if read else [])
    assert room.row("SELECT plan FROM turns") == {"plan": plan}
    assert room.provider.requests == []


def test_turn_that_cannot_be_given_up_ends_with_its_readable_versions(room: CouncilRoom) -> None:
    turn_id = room.take("@writer hello", later=True).turn_id
    plan, roster = PLAN | {"selected_agent_keys": ["writer", "critic", "ghost"]}, '[{"key": "critic"}, {"version": 7}]'
    pinned = "roster = (roster #- '{2}') || %s"
    room.owner.execute(
        f"UPDATE turns SET plan = %s, {pinned}, expired_claims = %s".encode(),
        (Jsonb(plan), roster, FRUITLESS_CLAIMS + 1),
    )
    replies = body(room.resume(turn_id))["replies"]
    assert [(reply["name"], reply["agent_version"]) for reply in replies] == [
        ("writer", 1),
        ("critic", 0),
        ("ghost", 0),
    ]


def test_process_that_gives_up_a_turn_stops_when_another_one_has_claimed_it(room: CouncilRoom) -> None:
    def claim_and_give_up() -> None:
        room.expire_lease()
        ended.append(room.resume(turn_id, room.runner(db=room.open_database())))

    ended: list[Any] = []
    turn_id = room.take("@writer hello", later=True).turn_id
    room.owner.execute("UPDATE turns SET expired_claims = %s", (FRUITLESS_CLAIMS,))
    room.db.before(PUBLISH, claim_and_give_up)
    outcome = room.resume(turn_id)
    assert outcome is not None
    assert (outcome.published, outcome.abandoned, ended[0].published) == (False, False, True)
    assert outcome.body == ended[0].body == room.row("SELECT response FROM turns")["response"]
