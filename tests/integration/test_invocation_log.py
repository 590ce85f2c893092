"""Tests the reconciler's real handler on Bedrock's log in S3: the objects it reads, when, and up to where."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from shared.aws.invocation_log import InvocationLog
from shared.db.engine import Database, operations_database
from shared.db.operations.log_hours import load_due_hours, record_end, record_object, record_reading
from shared.reconciliation.invocation_log import reconcile_invocation_log
from shared.reconciliation.reconcile import Reconciler
from tests.support.bedrock_log import AGE_S, FOLDER, STAGE, Log, invoke, record
from tests.support.council_room import AMPLE_S, FAST_COST, USAGE
from tests.support.invocation_records import invocation

pytest_plugins = ["tests.support.bedrock_log.fixtures"]
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, float]]:
    """Return the metrics since the last call."""

    def read() -> dict[str, float]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
        names = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines]
        return {name: line[name][0] for name, line in zip(names, lines, strict=True)}

    return read


def test_a_call_in_suspense_gets_what_the_log_says_it_cost(log: Log, metrics: Callable[[], dict[str, float]]) -> None:
    lost, found, hour = log.lose_a_call()
    log.write(hour, record(found), record(lost), record(lost))
    assert invoke() == {"finished": True, "records": 3, "settled": 1, "left": 0}
    assert log.room.accounts() == {"tenant": FAST_COST, "suspense": 0, "platform": FAST_COST}
    assert metrics() == {
        "ReconciledCalls": 1,
        "UnjournaledCalls": 0,
        "DriftedCalls": 0,
        "UnreadableRecords": 0,
        "SuspendedCalls": 0,
        "SuccessfulRuns": 1,
    }


def test_record_that_does_not_fit_the_journal_is_counted_and_named_by_its_id(
    log: Log, metrics: Callable[[], dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("shared.reconciliation").addHandler(caplog.handler)
    lost, found, hour = log.lose_a_call()
    stranger = uuid4()
    log.write(hour, record(stranger), invocation(found, USAGE, STAGE), b"{", record(lost))
    assert invoke()["settled"] == 1
    told = {vars(entry)["call_id"] for entry in caplog.records if "call_id" in vars(entry)}
    assert told == {str(stranger), str(found)}
    assert "sesame" not in str([vars(entry) for entry in caplog.records])
    assert metrics() == {
        "ReconciledCalls": 1,
        "UnjournaledCalls": 1,
        "DriftedCalls": 1,
        "UnreadableRecords": 1,
        "SuspendedCalls": 0,
        "SuccessfulRuns": 1,
    }
    logging.getLogger("shared.reconciliation").removeHandler(caplog.handler)


def test_reconciler_reads_only_the_logs_objects_and_our_records_in_them(
    log: Log, metrics: Callable[[], dict[str, float]]
) -> None:
    _, found, hour = log.lose_a_call()
    log.write(hour, record(uuid4(), stage="dev"), record(uuid4()) | {"requestMetadata": {"team": "demo"}})
    log.write(hour, record(uuid4()), name="data/3f0e_output.json.gz")
    log.write(hour, record(uuid4()), name="amazon-bedrock-logs-permission-check")
    log.write(hour, b"no JSON", name="data/3f0e_input.json.gz")
    log.write(hour, record(found))
    assert invoke()["records"] == 1
    assert (metrics()["UnjournaledCalls"], log.hours("unreadable", "models")) == (0, [(0, ["scripted-fast"])])


def test_an_hour_is_read_when_it_is_over_and_then_not_again(log: Log) -> None:
    _, found, hour = log.lose_a_call()
    log.forget(hour, hour + timedelta(hours=9))
    log.write(hour, record(found))
    current = datetime.now(UTC)
    log.write(current, record(found))
    assert invoke()["records"] == 1
    assert [row[0] for row in log.hours("hour")] == [hour]
    log.write(hour, record(found))
    assert invoke()["records"] == 0


def test_an_hour_is_read_again_where_a_call_of_it_was_posted_since(log: Log) -> None:
    lost, found, hour = log.lose_a_call()
    log.room.owner.execute("UPDATE llm_calls SET posted_at = now() - interval '10 minutes'")
    log.remember(hour - timedelta(days=20), hour + timedelta(hours=3), ago="11 minutes")
    log.write(hour, record(found), record(lost))
    assert load_due_hours(operations_database(), AGE_S, {"bedrock"}) == [hour, hour + timedelta(hours=1)]
    assert invoke()["settled"] == 1
    assert load_due_hours(operations_database(), AGE_S, {"bedrock"}) == []


class CountingLog(InvocationLog):
    """A log that remembers its reads."""

    def __init__(self, log: Log) -> None:
        super().__init__(f"s3://{log.bucket}/{FOLDER}")
        self.read: list[str] = []

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        self.read.append(key)
        with super().open(key) as unpacked:
            yield unpacked


def test_next_invocation_continues_with_the_next_object_after_a_timeout(log: Log) -> None:
    lost, found, hour = log.lose_a_call(hours_ago=60)
    first = log.write(hour, record(found))
    second = log.write(hour, record(uuid4(), stage="dev"))
    db, counting = operations_database(), CountingLog(log)
    first_time, next_time = Reconciler(db), Reconciler(db)

    def one_object() -> float:
        return AMPLE_S if not counting.read else 59.0

    assert not reconcile_invocation_log(first_time, db, counting, STAGE, one_object)
    assert (counting.read, log.hours("last_key", "read_at")) == ([first], [(first, None)])
    assert log.status(lost) == "unknown"
    assert reconcile_invocation_log(next_time, db, counting, STAGE, lambda: AMPLE_S)
    assert (counting.read, next_time.findings.records) == ([first, second], 0)
    # Earlier findings are kept.
    assert log.hours("last_key", "models") == [(second, ["scripted-fast"])]
    assert log.status(lost) == "unbilled"


def test_reconciler_reads_nothing_without_time(log: Log) -> None:
    _, found, hour = log.lose_a_call()
    log.write(hour, record(found))
    assert invoke(seconds=30)["finished"] is False
    assert log.room.rows("SELECT hour FROM invocation_log_hours WHERE hour = %s", hour) == []


def test_a_log_that_cannot_be_read_is_an_error_and_what_was_found_is_counted(
    log: Log, metrics: Callable[[], dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, _, hour = log.lose_a_call()
    log.write(hour, record(lost))
    denied = InvocationLog.keys

    def keys(self: InvocationLog, asked: datetime, after: str | None = None) -> Iterator[str]:
        if asked > hour:
            self._bucket = "nowhere"
        return denied(self, asked, after)

    monkeypatch.setattr(InvocationLog, "keys", keys)
    with pytest.raises(ClientError):
        invoke()
    assert metrics()["ReconciledCalls"] == 1
    assert log.status(lost) == "succeeded"


def test_reconciler_that_restarts_an_hour_takes_it_from_the_others(log: Log, ops: Database) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    log.forget(hour - timedelta(days=30), hour)
    first = record_reading(ops, hour)
    # Both go on reading at the position of one of them.
    assert record_object(ops, first, "b", ["m1"], 0)
    second = record_reading(ops, hour)
    assert (second.started_at, second.last_key) == (first.started_at, "b")
    assert record_object(ops, second, "c", ["m2"], 1)
    assert record_object(ops, first, "B", ["m1"], 0)
    assert log.hours("last_key", "models", "unreadable") == [("c", ["m1", "m2"], 1)]
    record_end(ops, second)
    third = record_reading(ops, hour)
    assert third.last_key is None
    assert not record_object(ops, first, "d", ["m1"], 0)
    record_end(ops, first)
    assert log.room.rows("SELECT models, unreadable, read_at FROM invocation_log_hours") == [
        {"models": [], "unreadable": 0, "read_at": None}
    ]
