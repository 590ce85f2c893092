"""Tests a turn that no process can finish: it ends as failed, and its session goes on.

Its messages end in the dead-letter queue, and its tenant pays only for shown replies.
"""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from shared.db.engine import Statement
from shared.db.protocol import CLAIM, LOAD_CALLS, LOAD_RESUMED_TURN, PUBLISH
from shared.db.turns import load_turn
from shared.llm.port import Request
from tests.support.council_room import FAST_COST, CouncilRoom, Killed, answer, names, prompt

MESSAGE = "@writer @critic hello"
# The first claim finds the earlier answers, and the next three find nothing new. The last of these gives the turn up.
# If that fails, one more claim gives it up without its answers. A turn that cannot be published asks its second agent
# in the first claim, so it needs one more.
GIVEN_UP, GIVEN_UP_BARE = 4, 5

Deliver = Callable[[UUID], bool]
Poison = Callable[[CouncilRoom], object]


def stored(query: str) -> Poison:
    return lambda room: room.owner.execute(query.encode())


def fails(*statements: Statement, times: int = 10, error: type[BaseException] = psycopg.errors.DataCorrupted) -> Poison:
    """Let the statement fail on this turn, this number of times."""

    def fail() -> None:
        raise error

    def poison(room: CouncilRoom) -> None:
        for statement in statements:
            for _ in range(times):
                room.db.before(statement, fail)

    return poison


POISONS: dict[str, tuple[Poison, int]] = {
    "a mode that this release does not have": (stored("UPDATE turns SET mode = 'seance'"), GIVEN_UP),
    "a version of an agent that is gone": (
        stored("DELETE FROM agent_versions WHERE key = 'critic'"),
        GIVEN_UP_BARE,
    ),
    "a plan of another release": (
        stored("UPDATE turns SET plan = plan - 'unknown_tags' || '{\"weights\": [1, 2]}'"),
        GIVEN_UP_BARE,
    ),
    "a plan with an agent that is not in the roster": (
        stored("UPDATE turns SET plan = jsonb_set(plan, '{selected_agent_keys,1}', '\"ghost\"')"),
        GIVEN_UP_BARE,
    ),
    "a call with rates of another release": (
        stored("""UPDATE llm_calls SET rates = rates || '{"video": "1"}'"""),
        GIVEN_UP_BARE,
    ),
    "a call with an error of another release": (
        stored("UPDATE llm_calls SET verdict = 'failed', error_code = 'sulking' WHERE verdict = 'reply'"),
        GIVEN_UP_BARE,
    ),
    "a history that cannot be read": (fails(LOAD_RESUMED_TURN), GIVEN_UP_BARE),
    "a journal that cannot be read": (fails(LOAD_CALLS), GIVEN_UP_BARE),
    "a turn that cannot be published": (fails(PUBLISH, times=GIVEN_UP_BARE), GIVEN_UP_BARE + 1),
    "loading it kills the process": (fails(LOAD_RESUMED_TURN, error=Killed), GIVEN_UP_BARE),
}


@pytest.fixture
def poisoned(room: CouncilRoom, request: pytest.FixtureRequest, worker: Deliver) -> UUID:
    """A turn whose first agent has answered and whose process died in the second call. Now no process can finish it."""

    def die(_: Request) -> str:
        raise Killed

    room.provider.enqueue(answer("Roses."), die)
    turn_id = room.take_until_killed(MESSAGE, idempotency_key="key-1")
    request.param(room)
    return turn_id


def deliver(room: CouncilRoom, worker: Deliver, turn_id: UUID) -> bool:
    """Deliver one message of the turn to a process that may die of it. Returns whether the message comes back."""
    room.expire_lease()
    try:
        return worker(turn_id)
    except Killed:
        return True


@pytest.mark.parametrize(("poisoned", "claims"), POISONS.values(), ids=POISONS, indirect=["poisoned"])
def test_turn_that_no_process_can_finish_ends_as_failed(
    room: CouncilRoom, poisoned: UUID, claims: int, worker: Deliver
) -> None:
    for _ in range(claims):
        assert room.row("SELECT status FROM turns") == {"status": "running"}
        assert deliver(room, worker, poisoned)
    turn = room.row("SELECT status, response::jsonb -> 'error' ->> 'code' AS code FROM turns")
    assert turn == {"status": "failed", "code": "turn_abandoned"}
    # Each later message also comes back, until it is in the dead-letter queue.
    assert deliver(room, worker, poisoned)
    assert room.row("SELECT lease_epoch FROM turns") == {"lease_epoch": claims + 1}


@pytest.mark.parametrize("poisoned", [POISONS["a journal that cannot be read"][0]], indirect=True)
class TestGivenUpBare:
    @pytest.fixture(autouse=True)
    def _given_up(self, room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
        for _ in range(GIVEN_UP_BARE):
            deliver(room, worker, poisoned)

    def test_failed_turn_shows_no_reply_and_is_paid_by_the_platform(self, room: CouncilRoom) -> None:
        response = room.row("SELECT response::jsonb AS turn FROM turns")["turn"]
        assert names(response["replies"]) == [
            ("writer", "skipped", "turn_abandoned"),
            ("critic", "skipped", "turn_abandoned"),
        ]
        assert (response["message"], response["plan"]["selected_agent_keys"]) == (MESSAGE, ["writer", "critic"])
        assert [reply["agent_version"] for reply in response["replies"]] == [1, 1]
        assert (response["cost_usd"], response["platform_cost_usd"]) == ("0", str(FAST_COST))
        assert response["usage"]["output_tokens"] > 0
        reserve = room.row("SELECT reserve_usd FROM llm_calls WHERE status = 'unknown'")["reserve_usd"]
        assert room.accounts() == {"platform": FAST_COST, "suspense": reserve}
        budget = room.budget("tenant:tenant-1")
        assert budget
        assert (budget["held_usd"], budget["spent_usd"]) == (0, 0)

    def test_session_goes_on_and_the_key_answers_after_the_turn_failed(self, room: CouncilRoom) -> None:
        replayed = room.take(MESSAGE, idempotency_key="key-1")
        assert (replayed.replayed, replayed.status) == (True, "failed")
        assert room.take("@writer and now?").status == "completed"
        assert "Roses." not in prompt(room.provider.requests[-1])

    def test_later_messages_of_the_turn_make_no_call(self, room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
        asked = len(room.provider.requests)
        assert deliver(room, worker, poisoned)
        assert len(room.provider.requests) == asked


@pytest.mark.parametrize(
    ("poisoned", "verdict", "error"),
    [
        (fails(LOAD_CALLS), "failed", "turn_abandoned"),
        (POISONS["a call with an error of another release"][0], "failed", "sulking"),
    ],
    indirect=["poisoned"],
)
def test_journal_names_the_forfeited_answers(
    room: CouncilRoom, poisoned: UUID, worker: Deliver, verdict: str, error: str
) -> None:
    for _ in range(GIVEN_UP_BARE):
        deliver(room, worker, poisoned)
    answered, *lost = room.calls("verdict, error_code")
    assert answered == (verdict, error)
    assert set(lost) == {(None, None)}


@pytest.mark.parametrize("poisoned", [fails(LOAD_CALLS)], indirect=True)
def test_answers_can_be_read_until_the_turn_is_given_up(room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
    deliver(room, worker, poisoned)
    assert load_turn(room.db, room.actor, poisoned).steps_finished == 1


@pytest.mark.parametrize("poisoned", [fails(LOAD_CALLS)], indirect=True)
def test_turn_can_be_read_between_forfeit_and_publish(room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
    fails(PUBLISH, times=1)(room)
    for _ in range(GIVEN_UP_BARE):
        deliver(room, worker, poisoned)
    turn = load_turn(room.db, room.actor, poisoned)
    assert (turn.status, '"turn_abandoned"' in turn.body) == ("running", True)
    # Every message tries again to give it up.
    deliver(room, worker, poisoned)
    assert load_turn(room.db, room.actor, poisoned).status == "failed"


def cancel_mark(room: CouncilRoom) -> None:
    room.owner.execute("UPDATE turns SET cancel_requested_at = clock_timestamp()")


@pytest.mark.parametrize("poisoned", [fails(LOAD_CALLS)], indirect=True)
def test_cancelled_turn_ends_as_cancelled_and_its_message_is_done(
    room: CouncilRoom, poisoned: UUID, worker: Deliver
) -> None:
    cancel_mark(room)
    for _ in range(GIVEN_UP_BARE - 1):
        assert deliver(room, worker, poisoned)
    assert not deliver(room, worker, poisoned)
    assert room.row("SELECT status FROM turns") == {"status": "cancelled"}
    assert not deliver(room, worker, poisoned)


@pytest.mark.parametrize("poisoned", [fails(LOAD_CALLS)], indirect=True)
def test_turn_of_a_deleted_session_ends_without_text(room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
    room.owner.execute("UPDATE turns SET deleted_at = clock_timestamp()")
    for _ in range(GIVEN_UP_BARE - 1):
        assert deliver(room, worker, poisoned)
    assert not deliver(room, worker, poisoned)
    assert room.row("SELECT status, message, response FROM turns") == {
        "status": "failed",
        "message": "",
        "response": None,
    }
    assert not deliver(room, worker, poisoned)


@pytest.mark.parametrize("poisoned", [lambda _: None], indirect=True)
def test_turn_is_not_given_up_because_the_database_is_away(room: CouncilRoom, poisoned: UUID, worker: Deliver) -> None:
    """A claim that is not committed is not counted."""

    def away() -> None:
        raise psycopg.OperationalError

    for _ in range(GIVEN_UP_BARE + 1):
        room.db.hold(CLAIM, away)
        assert deliver(room, worker, poisoned)
    assert not deliver(room, worker, poisoned)
    assert room.row("SELECT status FROM turns") == {"status": "completed"}
