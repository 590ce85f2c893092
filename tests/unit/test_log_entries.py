"""Tests how log lines are printed in plain words, and how log files are followed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.logs.entry import Entry, read
from local.logs.follow import Follower

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
CALL = "01a22e12-1d35-7609-bd1b-863ff78eb5b2"


def entry(**fields: object) -> Entry:
    return read("turns", json.dumps({"timestamp": "2026-11-30 11:00:00,000+0000", **fields}), NOW)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"message": f"Call {CALL} is unknown: timeout (TimeoutError)", "model_alias": "fast"},
            "a call of 'fast' failed: The provider did not answer in time. Its cost is in suspense",
        ),
        (
            {"message": f"Call {CALL} is unbilled: refused (400)", "provider_message": "no \x1b[2J"},
            'a call failed: The provider refused the request: "no \\x1b[2J". It costs nothing',
        ),
        (
            {"message": "request failed", "code": "database_unavailable", "cause": {"type": "DatabaseUnavailable"}},
            "the database did not answer. The client got status 503 and may try again (DatabaseUnavailable in ?)",
        ),
        (
            {
                "message": "unexpected error",
                "cause": {"type": "A", "cause": {"type": "KeyError", "sqlstate": "P0001", "at": ["a.py:1 f"]}},
            },
            "an unexpected error (KeyError P0001 in a.py:1 f)",
        ),
    ],
)
def test_line_of_a_function_is_printed_in_plain_words(fields: dict[str, object], text: str) -> None:
    told = entry(level="ERROR", **fields)
    assert (told.kind, told.text, told.time.hour) == ("error", text, 11)


@pytest.mark.parametrize(
    ("status", "text"), [("timed_out", "took too long, and its process was ended"), ("died", "a process died")]
)
def test_report_of_a_lost_process_is_an_error(status: str, text: str) -> None:
    line = {"time": "2026-11-30T11:00:00+00:00", "type": "platform.report", "record": {"status": status}}
    told = read("turns", json.dumps(line), NOW)
    assert told.kind == "error"
    assert text in told.text


def test_line_with_a_bill_names_the_turn_that_ended() -> None:
    metrics = {"_aws": {"Timestamp": 1796068122137}, "turn_id": CALL, "total_usd": "0.1", "Calls": [2.0]}
    told = read("turns", json.dumps(metrics), NOW)
    assert (told.kind, told.turn_id, told.text) == ("detail", CALL, "Calls 2")
    assert entry(turn_id=CALL, level="ERROR", message="x").turn_id is None


@pytest.mark.parametrize(
    ("source", "line", "kind", "text"),
    [
        ("gateway", "2026-11-30 20:15:26,115 WARNING The sweeper died.", "warning", "The sweeper died."),
        ("postgres", "2026-11-30 20:15:26.115 UTC [77] FATAL:  no room", "error", "no room"),
        ("model", "0.03.113.162 I srv    load_model", "detail", "srv    load_model"),
        ("model", "0.03.113.162 E srv    no memory", "error", "srv    no memory"),
        ("api", "{no json", "info", "{no json"),
        ("api", '{"_aws": 1}', "info", '{"_aws": 1}'),
    ],
)
def test_other_lines_are_read_with_their_kind_and_text(source: str, line: str, kind: str, text: str) -> None:
    told = read(source, line, NOW)
    assert (told.kind, told.text) == (kind, text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "api.log"


def texts(follower: Follower) -> list[str]:
    return [entry.text for entry in follower.new_entries()]


def test_follower_reads_each_complete_line_once(tmp_path: Path, log: Path) -> None:
    log.write_text("old\n")
    follower = Follower(tmp_path, from_end=True)
    assert texts(follower) == []
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert texts(follower) == ["one"]
        file.write("o\n")
        file.flush()
        assert texts(follower) == ["two"]


def test_follower_reads_a_log_that_appears_later_or_is_emptied(tmp_path: Path, log: Path) -> None:
    follower = Follower(tmp_path, from_end=True)
    log.write_text("a longer first line\n")
    assert texts(follower) == ["a longer first line"]
    log.write_text("new\n")
    assert texts(follower) == ["new"]
    part = log.with_suffix(".part")
    part.write_text("of another file\n")
    part.replace(log)
    assert texts(follower) == ["of another file"]
