"""Tests that a mode that raises ends its turn at once as failed, with the answers so far.

A roster that a mode refuses is refused before the turn is accepted, and nothing is stored.
"""

import json
from collections.abc import Callable
from uuid import UUID

import pytest

from shared.domain.conversation import Conversation
from shared.domain.turn import Plan
from shared.errors import RosterRefused
from shared.llm.port import Completion, Request
from shared.names import Env
from shared.orchestration.council import Council
from shared.orchestration.modes import MODES, Checked, roundtable
from shared.settings import settings
from shared.turns import draft, run
from tests.support.council_room import ALIASES, FAST_COST, CouncilRoom, answer, body, names
from tests.support.posted_turn import post_turn

Mode = Callable[[Council], None]
SECRET = "what the user said"
PLAN = Plan(("writer", "critic"), "roster")


def fails_after_an_answer(council: Council) -> None:
    council.plan(PLAN)
    council.ask("writer")
    raise KeyError(SECRET)


def asks_against_its_plan(council: Council) -> None:
    council.plan(PLAN)
    council.ask("writer")
    council.ask("researcher")


def fails_at_once(_: Council) -> None:
    raise KeyError(SECRET)


def needs_three_agents(council: Council) -> None:
    first, second, judge = list(council.conversation.roster)[:2]
    council.plan(Plan((first, second, judge), "roster"))


def plans_a_stranger(council: Council) -> None:
    council.plan(Plan(("writer", "stranger"), "roster"))
    council.ask("writer")


def asks_nobody(council: Council) -> None:
    council.plan(Plan((), "roster"))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, room: CouncilRoom) -> Callable[[Mode | None], None]:
    """Run this function as the sessions' mode; None: the real mode."""

    def use(mode: Mode | None) -> None:
        for module in (draft, run):
            monkeypatch.setattr(module, "MODES", MODES if mode is None else {"tag": mode})

    return use


@pytest.mark.parametrize("mode", [fails_after_an_answer, asks_against_its_plan])
def test_a_mode_that_raises_ends_its_turn_as_failed_with_what_was_answered(
    room: CouncilRoom, use: Callable[[Mode | None], None], monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    use(mode)
    room.provider.enqueue(answer("Roses."))
    answered = post_turn(room, monkeypatch, "hello", key="key-1")
    assert (answered.status, answered.body["status"]) == (201, "failed")
    assert answered.body["error"]["code"] == "mode_error"
    assert names(answered.body["replies"]) == [("writer", "completed", None), ("critic", "skipped", "mode_error")]
    assert answered.body["output"] == "Writer: Roses."
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    assert room.accounts() == {"tenant": FAST_COST}
    use(None)
    assert post_turn(room, monkeypatch, "@writer and now?").body["status"] == "completed"
    again = post_turn(room, monkeypatch, "hello", key="key-1")
    assert (again.status, again.body) == (201, answered.body)


@pytest.mark.parametrize("mode", [fails_at_once, needs_three_agents, plans_a_stranger, asks_nobody])
def test_mode_that_fails_before_its_first_call_ends_its_turn_as_failed(
    room: CouncilRoom, use: Callable[[Mode | None], None], monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    use(mode)
    answered = post_turn(room, monkeypatch, "@writer hello", key="key-1")
    assert (answered.status, answered.body["status"]) == (201, "failed")
    assert answered.body["error"]["code"] == "mode_error"
    assert SECRET not in json.dumps(answered.body)
    assert room.provider.requests == []
    assert post_turn(room, monkeypatch, "@writer hello", key="key-1").body == answered.body
    use(None)
    assert post_turn(room, monkeypatch, "@writer hello").body["status"] == "completed"


def four_agents(conversation: Conversation) -> None:
    if len(conversation.roster) < 4:
        raise RosterRefused("This mode takes four agents.")


def test_a_mode_refuses_a_roster_before_its_turn_is_accepted(
    room: CouncilRoom, use: Callable[[Mode | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Checked(roundtable, four_agents))
    refused = post_turn(room, monkeypatch, "hello", key="key-1")
    assert (refused.status, refused.body["code"]) == (422, "roster_refused")
    assert refused.body["detail"] == "This mode takes four agents."
    with pytest.raises(RosterRefused):
        room.take("hello", later=True)
    assert (room.rows("SELECT id FROM turns"), room.provider.requests) == ([], [])
    room.make_agent("editor")
    # Its mode is `tag`, which stands for the mode under test.
    session_id = room.make_session(agent_keys=[*ALIASES, "editor"])
    assert body(room.take("hello", session_id=session_id))["status"] == "completed"
    use(None)
    assert post_turn(room, monkeypatch, "@writer hello", key="key-1").body["status"] == "completed"


@pytest.mark.parametrize("mode", [fails_at_once, fails_after_an_answer])
def test_a_mode_that_raises_in_the_worker_ends_its_turn_and_its_message_is_done_with(
    room: CouncilRoom, use: Callable[[Mode | None], None], worker: Callable[[UUID], bool], mode: Mode
) -> None:
    turn_id = room.take("hello", later=True).turn_id
    use(mode)
    assert not worker(turn_id)
    assert room.row("SELECT status, response::jsonb -> 'error' ->> 'code' AS code FROM turns") == {
        "status": "failed",
        "code": "mode_error",
    }


def test_the_exception_is_logged_by_type_and_place_and_counted(
    room: CouncilRoom,
    use: Callable[[Mode | None], None],
    worker: Callable[[UUID], bool],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turn_id = room.take("hello", later=True).turn_id
    use(fails_after_an_answer)
    worker(turn_id)
    (logged,) = [vars(record) for record in caplog.records if record.getMessage() == "mode failed"]
    assert (logged["levelname"], logged["cause"]["type"], logged["turn_id"]) == ("ERROR", "KeyError", str(turn_id))
    assert "fails_after_an_answer" in logged["cause"]["at"][-1]
    assert SECRET not in str(logged)
    assert '"UnexpectedErrors":[1.0]' in capsys.readouterr().out


def test_a_provider_that_raises_leaves_the_turn_to_the_next_process(room: CouncilRoom) -> None:
    """Only the mode's own exceptions end a turn."""

    def broken(_: Request) -> Completion:
        raise RuntimeError(SECRET)

    room.provider.enqueue(broken, answer("Roses."))
    with pytest.raises(RuntimeError):
        room.take("@writer hello")
    room.expire_lease()
    assert body(room.resume(room.row("SELECT id FROM turns")["id"]))["status"] == "completed"


def test_a_summary_that_raises_does_not_fail_its_turn(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    def summarise(*_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(run, "summarise", summarise)
    monkeypatch.setenv(Env.SUMMARY_AFTER_TOKENS, "100")
    settings.cache_clear()
    outcome = room.take("@writer " + "hello " * 200)
    turn = body(outcome)
    assert (turn["status"], turn["summary_triggered"], turn["fallbacks"]) == ("completed", False, [])
    assert [(failed, type(error)) for failed, error in outcome.faults] == [("summary failed", KeyError)]
    assert room.rows("SELECT id FROM summaries") == []
