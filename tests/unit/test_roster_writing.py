"""Tests how roster changes are written, and put back when one of them fails."""

from typing import Any

import httpx
import pytest

from local.deployment import DeploymentError
from local.roster.entries import Change, Place, Stored
from local.roster.writing import write_all
from tests.support.fake_stage import FakeStage, problem
from tests.support.rosters import agent, council

WRITER, CRITIC, BOARD = Place("agents", "writer"), Place("agents", "critic"), Place("councils", "board")
OLD_WRITER, NEW_WRITER = agent(), agent(name="Author")
CRITICS, BOARDS = agent(name="Critic"), council()
PLAN = (
    Change(CRITIC, None, CRITICS),
    Change(WRITER, Stored(OLD_WRITER, 1), NEW_WRITER),
    Change(BOARD, None, BOARDS),
)
WRITES = ["POST agents", 'PUT agents/writer "1"', "POST councils"]


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage(agents__writer=OLD_WRITER)


def failed_apply(stage: FakeStage) -> tuple[str, list[str]]:
    """Return the error, and the printed lines about the state of the stage."""
    lines: list[str] = []
    with pytest.raises(DeploymentError) as raised:
        write_all(stage.deployment(), PLAN, lines.append)
    return str(raised.value), lines


def refused(status: int, code: str) -> Any:
    return lambda _: problem(status, code, "No.")


def cut(_: httpx.Request) -> None:
    raise httpx.ReadError("the connection broke")


def interrupted(_: httpx.Request) -> None:
    raise KeyboardInterrupt


def was_put_back(stage: FakeStage) -> bool:
    return set(stage.entries) == {"agents/writer"} and stage.fields("agents/writer") == OLD_WRITER


def test_new_entries_are_posted_and_changed_ones_put_at_the_version_that_was_read(stage: FakeStage) -> None:
    write_all(stage.deployment(), PLAN, print)
    assert stage.log == WRITES
    assert stage.fields("agents/writer") == NEW_WRITER
    assert {"agents/critic", "councils/board"} < set(stage.entries)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_refused_write_puts_back_the_earlier_ones_in_reverse_order(stage: FakeStage, number: int) -> None:
    stage.events[number] = refused(422, "quota_exceeded")
    error, _ = failed_apply(stage)
    assert error == f"{PLAN[number].place} 422 quota_exceeded: No."
    back = ['PUT agents/writer "2"', "DELETE agents/critic"][2 - number :]
    assert stage.log == [*WRITES[: number + 1], *back]
    assert was_put_back(stage)


def test_command_prints_the_state_after_a_refused_write(stage: FakeStage) -> None:
    stage.events[2] = refused(422, "quota_exceeded")
    assert failed_apply(stage)[1] == [
        "[agents.writer] is as it was before, now as version 3.",
        "[agents.critic] is deleted again.",
    ]


def test_the_command_says_that_nothing_was_written_when_the_first_write_is_refused(stage: FakeStage) -> None:
    stage.events[0] = refused(403, "forbidden")
    error, lines = failed_apply(stage)
    assert "role admin" in error
    assert lines == ["No other entry was written."]


def test_writes_are_put_back_when_standard_output_is_closed(stage: FakeStage) -> None:
    def say(_: str) -> None:
        raise BrokenPipeError

    stage.events[2] = refused(422, "quota_exceeded")
    with pytest.raises(BrokenPipeError):
        write_all(stage.deployment(), PLAN, say)
    assert was_put_back(stage)


@pytest.mark.parametrize("race", ["changed", "made"])
def test_concurrent_change_is_not_overwritten(stage: FakeStage, race: str) -> None:
    def somebody(_: httpx.Request) -> None:
        if race == "made":
            stage.entries["agents/critic"] = {**agent(name="Theirs"), "version": 1}
        else:
            stage.entries["agents/writer"] = {**agent(name="Theirs"), "version": 2}

    stage.events[0] = somebody
    error, _ = failed_apply(stage)
    assert "Run the command again." in error
    theirs = "agents/critic" if race == "made" else "agents/writer"
    assert stage.fields(theirs)["name"] == "Theirs"
    assert set(stage.entries) == {"agents/writer", theirs}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("moment", ["events", "after"])
@pytest.mark.parametrize("event", [cut, refused(503, "database_unavailable")], ids=["cut", "503"])
def test_a_write_without_an_answer_is_tried_again_and_makes_one_version(
    stage: FakeStage, number: int, moment: str, event: Any
) -> None:
    getattr(stage, moment)[number] = event
    write_all(stage.deployment(), PLAN, print)
    versions = {path: entry["version"] for path, entry in stage.entries.items()}
    assert versions == {"agents/writer": 2, "agents/critic": 1, "councils/board": 1}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("moment", ["events", "after"])
@pytest.mark.parametrize("event", [cut, refused(503, "database_unavailable")], ids=["cut", "503"])
def test_write_that_never_gets_an_answer_is_put_back_when_it_was_stored(
    stage: FakeStage, number: int, moment: str, event: Any
) -> None:
    getattr(stage, moment)[number] = event
    stage.events |= {number + 1: event, number + 2: event}
    _, lines = failed_apply(stage)
    assert was_put_back(stage)
    place = PLAN[number].place
    assert (f"{place} was not written." in lines) is (moment == "events")
    assert any(line.startswith(f"{place} is ") for line in lines) is (moment == "after")


@pytest.mark.parametrize("cuts", [1, 3])
def test_entry_of_another_writer_is_not_taken_for_an_unanswered_write(stage: FakeStage, cuts: int) -> None:
    def somebody(request: httpx.Request) -> None:
        stage.entries["agents/critic"] = {**agent(name="Theirs"), "version": 1}
        cut(request)

    stage.events = {0: somebody} | dict.fromkeys(range(1, cuts), cut)
    failed_apply(stage)
    assert stage.fields("agents/critic")["name"] == "Theirs"


def test_an_interrupted_write_that_waits_at_the_stage_is_put_back(stage: FakeStage) -> None:
    """The stage does it after the command stopped to wait, and before it answers the next write."""

    def done_late(_: httpx.Request) -> None:
        stage.entries["agents/critic"] = {**CRITICS, "version": 1}

    stage.events = {0: interrupted, 1: done_late}
    with pytest.raises(KeyboardInterrupt):
        write_all(stage.deployment(), PLAN, print)
    assert was_put_back(stage)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("moment", ["events", "after"])
def test_interrupt_puts_the_writes_back(stage: FakeStage, number: int, moment: str) -> None:
    getattr(stage, moment)[number] = interrupted
    with pytest.raises(KeyboardInterrupt):
        write_all(stage.deployment(), PLAN, print)
    assert was_put_back(stage)


def test_entry_that_another_writer_changed_is_not_put_back(stage: FakeStage) -> None:
    def somebody(_: httpx.Request) -> httpx.Response:
        for path in ("agents/writer", "agents/critic"):
            stage.entries[path] |= {"name": "Theirs", "version": 7}
        return problem(422, "quota_exceeded", "No.")

    stage.events[2] = somebody
    lines = failed_apply(stage)[1]
    stays = "STAYS as another user changed it since this write, as version 7."
    assert lines == [f"[agents.writer] {stays}", f"[agents.critic] {stays}"]
    assert {stage.fields(path)["name"] for path in stage.entries} == {"Theirs"}


def test_entry_that_cannot_be_put_back_is_reported_with_the_reason(stage: FakeStage) -> None:
    stage.events[2] = refused(422, "quota_exceeded")
    stage.events[3] = stage.events[4] = refused(422, "invalid_request")
    assert failed_apply(stage)[1] == [
        "[agents.writer] STAYS AS WRITTEN, as version 2. 422 invalid_request: No.",
        "[agents.critic] STAYS AS WRITTEN, as version 1. 422 invalid_request: No.",
    ]


def test_a_put_back_without_an_answer_is_read_again(stage: FakeStage) -> None:
    stage.events[2] = refused(422, "quota_exceeded")
    stage.after[3] = stage.after[4] = cut
    assert failed_apply(stage)[1] == [
        "[agents.writer] is as it was before, now as version 3.",
        "[agents.critic] is deleted again.",
    ]


def test_entries_are_reported_as_unknown_when_the_stage_stops_answering(stage: FakeStage) -> None:
    def goes_silent(request: httpx.Request) -> None:
        stage.is_silent = True
        cut(request)

    stage.events[2] = goes_silent
    lines = failed_apply(stage)[1]
    assert [line.split(":")[0] for line in lines] == [
        "[councils.board] IS UNKNOWN",
        "[agents.writer] IS UNKNOWN",
        "[agents.critic] IS UNKNOWN",
    ]
