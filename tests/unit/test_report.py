"""Tests the lines that `pantheon run` prints about turns, errors and processes."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local import report
from local.logs.turns import EndedTurn, Turns
from local.report import Reporter

TURN = "01a22e12-1d32-7e4b-81db-b102c2109551"
ENDED = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    response = {"platform_cost_usd": "0.25", "error": None, "replies": [{"agent_key": "writer"}, {"agent_key": "b"}]}
    times = {"created_at": ENDED - timedelta(seconds=2.4), "completed_at": ENDED}
    told = {"id": TURN, "status": "completed", "answered_usd": "0.5", "title": "Demo", **times}
    return {**told, "response": json.dumps(response), **changes}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "turns.log"
    path.touch()
    return path


def reporter(log: Path, said: list[str], *, as_json: bool = False, quiet: bool = False) -> Reporter:
    return Reporter(log.parents[1], "postgresql://", said.append, as_json=as_json, quiet=quiet)


def write(log: Path, **fields: object) -> None:
    with log.open("a") as file:
        file.write(json.dumps(fields) + "\n")


def end_turn(log: Path) -> None:
    write(log, _aws={"Timestamp": 1}, turn_id=TURN, total_usd="0.75")


def test_turn_is_a_line_with_title_agents_seconds_and_the_whole_cost() -> None:
    assert EndedTurn.of(row()).line() == f"{'Demo':<24}  writer, b  2.4 s  0.75 USD  b102c2109551"
    long = EndedTurn.of(row(title="A title that is far too long\x1b", status="failed", response=None))
    assert long.line().startswith("A title that is far too… ")
    assert long.line().endswith("failed: see its audit")


def test_turn_is_printed_when_its_row_can_be_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = [psycopg.OperationalError("away"), None, EndedTurn.of(row())]

    def find(_: Turns, turn_id: str) -> EndedTurn | None:
        assert turn_id == TURN
        found: EndedTurn | Exception | None = rows.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Turns, "find", find)
    said = list[str]()
    watching = reporter(log, said)
    end_turn(log)
    for _ in range(5):
        watching.look()
    (line,) = said
    assert re.fullmatch(r"\d\d:\d\d:\d\d  turn    Demo .* 0\.75 USD .*", line)
    assert rows == []


def test_turn_is_a_json_object_on_request_and_nothing_in_quiet(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "find", lambda *_: EndedTurn.of(row()))
    said, quiet = list[str](), list[str]()
    watching = [reporter(log, said, as_json=True), reporter(log, quiet, quiet=True)]
    end_turn(log)
    for each in watching:
        each.look()
        each.notice("PostgreSQL runs again.")
    turn, notice = map(json.loads, said)
    assert (turn["kind"], turn["turn_id"], turn["usd"], turn["agents"]) == ("turn", TURN, "0.75", ["writer", "b"])
    assert (notice["kind"], notice["text"]) == ("notice", "PostgreSQL runs again.")
    assert [line[10:] for line in quiet] == ["notice  PostgreSQL runs again."]


def test_error_that_repeats_itself_is_printed_once_and_then_counted(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    watching = reporter(log, said)
    for _ in range(3):
        write(log, level="ERROR", message="request failed", code="database_unavailable")
        watching.look()
    assert len(said) == 1
    assert said[0][10:].startswith("error   turns: the database did not answer.")
    monkeypatch.setattr(report, "_REPEATED_S", 0.0)
    watching.look()
    assert "2 more times" in said[1]
    watching.look()
    assert len(said) == 2
