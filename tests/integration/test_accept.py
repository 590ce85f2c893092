"""Tests accepting a turn: of several posts one is accepted, and a refused post costs nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from shared.db.api import sessions
from shared.db.protocol import ACCEPT
from shared.domain.outcome import TurnOutcome
from shared.errors import BudgetExceeded, NotFound, TurnConflict
from shared.llm.port import Completion, Request
from tests.support.council_room import DEADLINE_S, DEEP_COST, FAST_COST, CouncilRoom, answer, body, names

PAYER = "tenant:tenant-1"


def post_at_once(room: CouncilRoom, number: int, post: Callable[[int], TurnOutcome]) -> list[TurnOutcome | Exception]:
    """Run `post` in this number of threads."""

    def outcome_of(index: int) -> TurnOutcome | Exception:
        try:
            return post(index)
        except TurnConflict as error:
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(outcome_of, range(number)))


def race(room: CouncilRoom, number: int, key: str | None) -> list[TurnOutcome | Exception]:
    """Let this number of posts reach the accept statement together. The provider answers after all others have
    ended.
    """
    all_loaded, all_told = threading.Barrier(number), threading.Barrier(number)
    databases = [room.open_database() for _ in range(number)]
    for db in databases:
        db.before(ACCEPT, lambda: all_loaded.wait(DEADLINE_S))

    def wait(_: Request) -> str:
        all_told.wait(DEADLINE_S)
        return "Roses."

    room.provider.enqueue(wait)

    def post(index: int) -> TurnOutcome:
        try:
            outcome = room.take("@writer hello", runner=room.runner(db=databases[index]), idempotency_key=key)
        except TurnConflict:
            all_told.wait(DEADLINE_S)
            raise
        if not outcome.published:
            all_told.wait(DEADLINE_S)
        return outcome

    return post_at_once(room, number, post)


def test_one_of_sixteen_posts_to_a_session_is_accepted_and_paid(room: CouncilRoom) -> None:
    outcomes = race(room, 16, None)
    taken = [outcome for outcome in outcomes if isinstance(outcome, TurnOutcome)]
    refused = [outcome.extra for outcome in outcomes if isinstance(outcome, TurnConflict)]
    assert [outcome.status for outcome in taken] == ["completed"]
    assert refused == [{"active_turn_id": str(taken[0].turn_id)}] * 15
    assert len(room.provider.requests) == len(room.calls()) == 1
    assert room.rows("SELECT id, turn_index FROM turns") == [{"id": taken[0].turn_id, "turn_index": 1}]


def test_eight_posts_with_one_key_run_one_turn_and_all_get_it(room: CouncilRoom) -> None:
    outcomes = [outcome for outcome in race(room, 8, "key-1") if isinstance(outcome, TurnOutcome)]
    assert sorted(outcome.status for outcome in outcomes) == ["completed"] + ["running"] * 7
    assert len({outcome.turn_id for outcome in outcomes}) == 1
    databases = [room.open_database() for _ in range(8)]
    again = post_at_once(
        room, 8, lambda i: room.take("@writer hello", runner=room.runner(db=databases[i]), idempotency_key="key-1")
    )
    (ended,) = [outcome for outcome in outcomes if outcome.published]
    assert [outcome.body for outcome in again if isinstance(outcome, TurnOutcome)] == [ended.body] * 8
    assert len(room.provider.requests) == len(room.rows("SELECT id FROM turns")) == 1


def test_index_refuses_a_second_active_turn_of_a_session(room: CouncilRoom) -> None:
    room.take("@writer hello", later=True)
    columns = "tenant_id, session_id, user_id, status, fingerprint, message, mode, fan_out, roster, lease_epoch"
    with pytest.raises(psycopg.errors.UniqueViolation, match="turns_one_active_per_session"):
        room.owner.execute(
            f"""INSERT INTO turns (id, turn_index, dispatch_after, {columns})
            SELECT gen_random_uuid(), 2, dispatch_after, {columns} FROM turns""".encode()
        )
    room.resume(room.row("SELECT id FROM turns")["id"])


def test_the_next_index_is_taken_when_a_whole_turn_went_by_after_loading(room: CouncilRoom) -> None:
    """No turn is active when the statement runs, and yet it must not go on with an old context."""
    room.db.before(ACCEPT, lambda: room.take("@critic first", runner=room.runner(db=room.open_database())))
    assert body(room.take("@writer second"))["turn_index"] == 2
    assert "@critic first" in room.provider.requests[1].messages[1].text


@pytest.mark.parametrize("later", [False, True], ids=["here", "later"])
def test_turn_without_money_for_its_first_call_is_not_stored(room: CouncilRoom, later: bool) -> None:
    room.limit(0)
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", later=later)
    assert room.provider.requests == []
    assert room.rows("SELECT id FROM turns UNION ALL SELECT call_id FROM llm_calls") == []
    assert room.budget(PAYER) is None
    assert room.row("SELECT next_turn_index FROM sessions") == {"next_turn_index": 1}


def test_hold_may_use_up_the_limit_and_no_more(room: CouncilRoom) -> None:
    room.take("@writer hello")
    (reserve,) = room.calls("reserve_usd")[0]
    room.limit_to(f"spent_usd + {reserve}")
    other = room.make_session()
    assert room.take("@writer hello", session_id=other).published
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", session_id=room.make_session())


def test_amount_held_for_one_turn_cannot_be_held_for_another(room: CouncilRoom) -> None:
    def post_elsewhere(_: Request) -> str:
        for of_the_hold, later in (("1", True), ("1.5", False)):
            room.limit_to(f"held_usd * {of_the_hold}")
            with pytest.raises(BudgetExceeded):
                room.take("@writer hello", runner=room.runner(db=other), session_id=elsewhere, later=later)
        return "Roses."

    other, elsewhere = room.open_database(), room.make_session()
    room.provider.enqueue(post_elsewhere)
    assert room.take("@writer hello").published
    assert room.take("@writer hello", session_id=elsewhere).published


def test_a_budget_that_runs_out_in_mid_turn_skips_the_rest_of_the_plan(room: CouncilRoom) -> None:
    def spend_the_rest(_: Request) -> str:
        room.limit_to("held_usd")
        return "Roses."

    room.provider.enqueue(spend_the_rest)
    turn = body(room.take("@writer @researcher @critic hello"))
    assert names(turn["replies"]) == [
        ("writer", "completed", None),
        ("researcher", "skipped", "budget_exceeded"),
        ("critic", "skipped", "budget_exceeded"),
    ]
    assert (turn["status"], turn["output"], len(room.provider.requests)) == ("completed", "Writer: Roses.", 1)


def test_budget_of_one_tenant_does_not_bind_another(room: CouncilRoom) -> None:
    room.limit(0)
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        assert other.take("@writer hello").published


def a_month_passes(room: CouncilRoom) -> None:
    for table in ("budgets", "budget_holds", "llm_calls", "usage_ledger"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())


def test_a_new_month_has_the_same_limit_and_nothing_spent(room: CouncilRoom) -> None:
    room.take("@writer hello")
    (reserve,) = room.calls("reserve_usd")[0]
    a_month_passes(room)
    room.limit(reserve * 99 / 100)
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", session_id=room.make_session())
    room.limit(reserve)
    assert room.take("@writer hello", session_id=room.make_session()).published
    assert room.rows("SELECT held_usd FROM budgets") == [{"held_usd": 0}] * 2


def test_a_turn_for_later_is_accepted_if_its_month_covers_its_first_agent(room: CouncilRoom) -> None:
    room.take("@writer hello")
    room.limit_to("spent_usd + 0.0000001")
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", later=True)
    a_month_passes(room)
    room.limit(1)
    outcome = room.take("@writer hello", later=True)
    assert names(body(room.resume(outcome.turn_id))["replies"]) == [("writer", "completed", None)]
    assert len(room.provider.requests) == 2


def test_a_turn_that_runs_into_a_new_month_is_settled_in_both(room: CouncilRoom) -> None:
    def month_passes(_: Request) -> Completion:
        a_month_passes(room)
        return answer()

    room.provider.enqueue(month_passes, answer())
    assert room.take("@writer @researcher hello").published
    rows = room.rows("SELECT held_usd, spent_usd FROM budgets ORDER BY period")
    assert rows == [{"held_usd": 0, "spent_usd": FAST_COST}, {"held_usd": 0, "spent_usd": DEEP_COST}]


def test_removed_limit_stays_removed(room: CouncilRoom) -> None:
    room.limit(0)
    room.limit(None)
    assert room.take("@writer hello").published


@pytest.mark.parametrize("later", [False, True], ids=["here", "later"])
def test_a_session_that_is_deleted_meanwhile_takes_no_turn(room: CouncilRoom, later: bool) -> None:
    def delete() -> None:
        sessions.record_session_deletion(room.open_database(), room.actor, room.session_id)

    room.db.before(ACCEPT, delete)
    with pytest.raises(NotFound):
        room.take("@writer hello", later=later)
    assert room.provider.requests == []
    assert room.rows("SELECT id FROM turns") == []


@pytest.mark.parametrize("later", [False, True], ids=["here", "later"])
def test_a_turn_touches_its_session_which_is_kept_from_then_on(room: CouncilRoom, later: bool) -> None:
    elsewhere = room.make_session()
    room.owner.execute("UPDATE sessions SET updated_at = created_at")
    turn_id = room.take("@writer hello", later=later).turn_id
    touched = room.rows("SELECT id FROM sessions WHERE updated_at > created_at AND id <> %s", elsewhere)
    assert touched == room.rows("SELECT session_id AS id FROM turns WHERE id = %s", turn_id)
    room.resume(turn_id)


@pytest.mark.parametrize("key_id", [None, UUID(int=5)])
@pytest.mark.parametrize("later", [False, True])
def test_a_turn_keeps_the_api_key_that_posted_it(room: CouncilRoom, key_id: UUID | None, later: bool) -> None:
    room.take("@writer hello", api_key_id=key_id, later=later, idempotency_key="once")
    room.take("@writer hello", api_key_id=UUID(int=6), idempotency_key="once")
    assert room.rows("SELECT api_key_id FROM turns") == [{"api_key_id": key_id}]
