"""Tests a turn whose plan grows: each ask is journaled with its plan, and a resumed turn replays the answers.

Only the function for graphs runs such a turn. Python functions stand in for graphs.
"""

from contextlib import suppress
from dataclasses import replace

import pytest

from shared.db.engine import Database
from shared.db.protocol import OPEN
from shared.errors import BudgetExceeded, UnknownGraph
from shared.llm.port import Request
from shared.names import Env
from shared.orchestration.growing_council import AskFailed, CouncilRefused, GrowingCouncil, NotAMember
from shared.settings import settings
from shared.turns.run import Runner
from tests.support.council_room import ALIASES, FAST_COST, Killed, answer, body, names, unbilled
from tests.support.graph_desk import Desk, Mode, ask, three
from tests.support.heard import Heard
from tests.support.wiretap import Wiretap


def die(_: Request) -> str:
    raise Killed


def test_a_posted_turn_is_handed_over_and_holds_the_highest_reserve(desk: Desk) -> None:
    room, heard = desk.room, Heard()
    outcome = desk.post(listener=heard)
    assert (outcome.handed_over, outcome.is_graph, outcome.status) == (True, True, "accepted")
    assert heard.names[-1] == "turn.handed_over"
    assert room.provider.requests == []
    held = room.row("SELECT held_usd, reason FROM budget_holds")
    desk.run(outcome.turn_id)
    reserves = [row["reserve_usd"] for row in room.rows("SELECT reserve_usd FROM llm_calls")]
    assert held["reason"] == "accepted"
    assert held["held_usd"] >= max(reserves) * 9 / 10
    assert room.rows("SELECT FROM budget_holds") == []


def test_the_plan_grows_in_the_commit_of_each_intent(desk: Desk) -> None:
    room, plans = desk.room, []

    def look(_: Request) -> str:
        plans.append(room.row("SELECT plan FROM turns")["plan"]["selected_agent_keys"])
        return "Roses."

    room.provider.enqueue(look, look, look)
    turn = desk.take()
    assert plans == [["writer"], ["writer", "researcher"], ["writer", "researcher", "critic"]]
    assert turn["plan"] == {"selected_agent_keys": list(ALIASES), "source": "graph", "unknown_tags": []}
    assert room.row("SELECT plan FROM turns")["plan"] == turn["plan"]
    assert [reply["text"] for reply in turn["replies"]] == ["Roses."] * 3
    assert turn["output"] == "Roses."


def test_an_ask_costs_no_more_than_one_of_a_roundtable(desk: Desk) -> None:
    room, figures = desk.room, {}
    with Wiretap(room.app_url, ignoring="set_config('app.tenant_id'") as tap:
        db = Database(tap.url)
        for mode in ("roundtable", "graph:here") * 2:
            session_id = room.make_session(mode=mode)
            turn_id = room.take("hello", session_id=session_id, later=True).turn_id
            runner = desk.runner() if mode == "graph:here" else Runner(room.db, room.provider, lambda: 600.0)
            tap.reset()
            before = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
            assert room.resume(turn_id, replace(runner, db=db)) is not None
            after = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
            figures[mode] = (tap.statements, tap.round_trips, after - before)
        db.close()
    assert figures["graph:here"] == figures["roundtable"]


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_resumed_turn_replays_what_was_answered_and_goes_on(desk: Desk, answered: int) -> None:
    room = desk.room
    words = ["Roses.", "Violets.", "Lilies."]
    room.provider.enqueue(*words[:answered], die, *words[answered:])
    turn_id = desk.killed()
    turn = desk.run(turn_id)
    assert (turn["status"], [reply["text"] for reply in turn["replies"]]) == ("completed", words)
    assert len(room.provider.requests) == 4
    assert turn["plan"]["selected_agent_keys"] == list(ALIASES)
    assert [row[:2] for row in room.calls("step, status, attempt") if row[1] == "unknown"] == [(answered, "unknown")]


def other_agent(council: GrowingCouncil) -> None:
    for key in ("critic", "researcher"):
        ask(council, key, "Before you: ")


def other_agent_at_a_lost_step(council: GrowingCouncil) -> None:
    for key in ("writer", "critic"):
        ask(council, key, "Before you: ")


def other_prompt(council: GrowingCouncil) -> None:
    ask(council, "writer", "Other words.")
    ask(council, "researcher", "Before you: Roses.")


def swallows_everything(council: GrowingCouncil) -> None:
    for key in ("critic", "writer", "researcher"):
        with suppress(BaseException):
            ask(council, key, "Before you: ")


def asks_less(_: GrowingCouncil) -> None:
    """It ends before its first ask."""


@pytest.mark.parametrize(
    "mode", [other_agent, other_agent_at_a_lost_step, other_prompt, swallows_everything, asks_less]
)
def test_a_graph_that_diverges_ends_its_turn_as_failed_with_what_was_answered(desk: Desk, mode: Mode) -> None:
    room = desk.room

    room.provider.enqueue(answer("Roses."), die)
    outcome = room.resume(desk.killed(), desk.runner(mode))
    turn = body(outcome)
    assert (turn["status"], turn["error"]["code"]) == ("failed", "graph_diverged")
    assert names(turn["replies"]) == [("writer", "completed", None), ("researcher", "skipped", "graph_diverged")]
    assert turn["output"] == "Roses."
    assert len(room.provider.requests) == 2
    assert room.accounts()["tenant"] == FAST_COST
    assert outcome is not None
    assert [fault for fault, _ in outcome.faults] == ["mode failed"]


def test_an_ask_at_a_step_of_a_helper_is_a_divergence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary's step follows the plan. A graph that asks once more would take it for its own."""
    room = desk.room
    monkeypatch.setenv(Env.SUMMARY_AFTER_TURNS, "2")
    settings.cache_clear()

    def one(council: GrowingCouncil) -> None:
        ask(council, "writer")

    def two(council: GrowingCouncil) -> None:
        ask(council, "writer")
        ask(council, "critic")

    desk.take(one)
    before = len(room.provider.requests)
    room.provider.enqueue("Roses.", "A summary.", die)
    turn_id = desk.post().turn_id
    with pytest.raises(Killed):
        room.resume(turn_id, desk.runner(one))
    assert len(room.provider.requests) == before + 3
    room.expire_lease()
    turn = desk.run(turn_id, two)
    assert (turn["status"], turn["error"]["code"]) == ("failed", "graph_diverged")
    assert names(turn["replies"]) == [("writer", "completed", None)]


def test_a_graph_cannot_go_on_when_its_time_is_up(desk: Desk) -> None:
    room, left = desk.room, iter([600.0])

    def stubborn(council: GrowingCouncil) -> None:
        ask(council, "writer")
        for _ in range(3):
            with suppress(BaseException):
                ask(council, "critic")

    turn_id = desk.post().turn_id
    handed = room.resume(turn_id, desk.runner(stubborn, seconds_left=lambda: next(left, 0.0)))
    assert handed is not None
    assert (handed.handed_over, handed.is_graph, len(room.provider.requests)) == (True, True, 1)
    turn = desk.run(turn_id, stubborn)
    assert (turn["status"], len(room.provider.requests)) == ("completed", 4)


def test_a_handler_of_the_graphs_own_does_not_see_that_its_time_is_up(desk: Desk) -> None:
    reached: list[str] = []

    def careful(council: GrowingCouncil) -> None:
        try:
            ask(council, "writer")
        except Exception:  # noqa: BLE001 as a node of a graph may
            reached.append("handler")
        reached.append("end")

    handed = desk.room.resume(desk.post().turn_id, desk.runner(careful, seconds_left=lambda: 0.0))
    assert handed is not None
    assert (handed.handed_over, reached) == (True, [])


def test_a_cancelled_turn_stops_its_graph(desk: Desk) -> None:
    room = desk.room

    def cancel(_: Request) -> str:
        room.owner.execute("UPDATE turns SET cancel_requested_at = clock_timestamp()")
        return "Roses."

    room.provider.enqueue(cancel)
    turn = desk.take()
    assert (turn["status"], names(turn["replies"])) == (
        "cancelled",
        [("writer", "completed", None), ("researcher", "skipped", "cancelled")],
    )


def test_failed_ask_raises_and_the_graph_may_ask_another_agent(desk: Desk) -> None:
    room = desk.room

    def patient(council: GrowingCouncil) -> None:
        try:
            ask(council, "writer")
        except AskFailed as error:
            ask(council, "critic", error.code)

    room.provider.enqueue(unbilled("refused"), "Roses.")
    turn = desk.take(patient)
    assert (turn["status"], turn["output"]) == ("completed", "Roses.")
    assert names(turn["replies"]) == [("writer", "failed", "refused"), ("critic", "completed", None)]
    assert "refused" in room.provider.requests[-1].messages[-1].text


def test_failed_ask_that_is_not_caught_ends_the_turn_by_its_code(desk: Desk) -> None:
    """run_graph raises the code."""

    def impatient(council: GrowingCouncil) -> None:
        try:
            three(council)
        except AskFailed as error:
            council.ended.failure = error.code

    desk.room.provider.enqueue("Roses.", unbilled("refused"))
    outcome = desk.room.resume(desk.post().turn_id, desk.runner(impatient))
    turn = body(outcome)
    assert (turn["status"], turn["error"]["code"], turn["output"]) == ("failed", "refused", "Roses.")
    assert outcome is not None
    assert outcome.faults == []


def test_graph_asks_no_agent_after_the_budget_refused_a_call(desk: Desk) -> None:
    room, refusals = desk.room, []

    def greedy(council: GrowingCouncil) -> None:
        ask(council, "writer")
        for _ in range(3):
            try:
                ask(council, "critic")
            except CouncilRefused as error:
                refusals.append(error.code)
        council.ended.answer = "Enough."

    def spend(_: Request) -> str:
        room.limit(0)
        return "Roses."

    room.provider.enqueue(spend)
    turn = desk.take(greedy)
    assert refusals == [BudgetExceeded.code] * 3
    assert (turn["status"], turn["output"]) == ("completed", "Enough.")
    assert names(turn["replies"]) == [("writer", "completed", None), ("critic", "skipped", "budget_exceeded")]
    assert len(room.provider.requests) == 1


def test_only_agents_of_the_roster_can_be_asked(desk: Desk) -> None:
    room = desk.room
    room.change_agent("critic", enabled=False)

    def stranger(council: GrowingCouncil) -> None:
        for key in ("stranger", "critic"):
            with pytest.raises(NotAMember):
                ask(council, key)
        ask(council, "writer")

    turn = desk.take(stranger)
    assert (turn["status"], turn["plan"]["selected_agent_keys"]) == ("completed", ["writer"])


def test_graph_may_answer_without_asking_an_agent(desk: Desk) -> None:
    def calculator(council: GrowingCouncil) -> None:
        council.ended.answer = "42"

    turn = desk.take(calculator)
    assert (turn["status"], turn["output"], turn["replies"], turn["cost_usd"]) == ("completed", "42", [], "0")


def test_the_worker_leaves_turns_of_graphs_and_the_function_for_graphs_leaves_all_others(desk: Desk) -> None:
    room = desk.room
    of_graph = desk.post().turn_id
    of_worker = room.take("@writer hello", later=True).turn_id
    untouched = room.rows("SELECT id, status, lease_epoch, dispatch_after FROM turns ORDER BY id")
    assert room.resume(of_graph) is None
    assert room.resume(of_worker, desk.runner()) is None
    assert room.rows("SELECT id, status, lease_epoch, dispatch_after FROM turns ORDER BY id") == untouched
    assert room.provider.requests == []
    assert desk.run(of_graph)["status"] == "completed"
    assert body(room.resume(of_worker))["status"] == "completed"


def test_the_worker_ends_what_is_left_of_graphs_when_none_is_configured(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_id = desk.post().turn_id
    monkeypatch.delenv(Env.GRAPHS)
    turn = body(desk.room.resume(turn_id))
    assert (turn["status"], turn["error"]["code"]) == ("failed", "mode_error")
    with pytest.raises(UnknownGraph, match="'here'"):
        desk.post()


def test_call_is_not_made_without_a_committed_intent(desk: Desk) -> None:
    room = desk.room
    room.provider.enqueue("Roses.")

    def kill() -> None:
        raise Killed

    room.db.before(OPEN, kill)
    turn_id = desk.post().turn_id
    with pytest.raises(Killed):
        room.resume(turn_id, desk.runner())
    assert room.provider.requests == []
    assert room.row("SELECT plan FROM turns") == {"plan": None}
    room.expire_lease()
    assert desk.run(turn_id)["status"] == "completed"
