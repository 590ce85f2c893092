"""The reconciler's real handler on Bedrock's log in S3: a bucket of moto's, and objects as Bedrock writes them."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID, uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from functions.reconciler.handler import handler
from local.gateway.worker import LambdaContext
from shared.aws.invocation_log import InvocationLog, invocation_log
from shared.db.engine import Database, operations_database
from shared.db.log_hours import load_due_hours, load_silent_in_log, record_end, record_object, record_reading
from shared.domain.money import Usage
from shared.names import Env
from shared.reconciliation.invocation_log import reconcile_invocation_log
from shared.reconciliation.reconcile import SILENT_AFTER, Reconciler
from shared.settings import invocation_log_settings, operations_settings, stage_settings
from tests.council_room import AMPLE_S, FAST_COST, USAGE, CouncilRoom, answer, unknown
from tests.fake_bedrock.environment import ACCESS_KEY_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY
from tests.invocation_records import invocation, packed

HOST = "127.0.0.1"
STAGE = "prod"
FOLDER = f"council/AWSLogs/123456789012/BedrockModelInvocationLogs/{REGION}"
# USAGE, as Bedrock counts: thinking is among what was written.
COUNTED = Usage(1000, 207, 50, 10)
AGE_S = SILENT_AFTER.total_seconds()
_CACHES = (operations_settings, invocation_log_settings, stage_settings, operations_database, invocation_log)

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

Objects = dict[str, bytes]


@dataclass
class Log:
    """A bucket of the test's own, and the room whose calls it tells of."""

    client: Any
    bucket: str
    room: CouncilRoom
    written: int = field(default=0)

    def write(self, hour: datetime, *records: object, name: str | None = None) -> str:
        """Put an object of `records` into the folder of an hour, after those that it has. Returns its key."""
        self.written += 1
        name = name or f"{hour:%Y%m%dT%H}{self.written:04}Z_9f2a.json.gz"
        return self.put(f"{FOLDER}/{hour:%Y/%m/%d/%H}/{name}", packed(*records))

    def put(self, key: str, content: bytes) -> str:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return key

    def lose_a_call(self, hours_ago: int = 3) -> tuple[UUID, UUID, datetime]:
        """Publish a turn of that time, with a call of Bedrock's whose outcome nobody knows, and another one. Both, and
        their hour."""
        self.room.provider.enqueue(unknown(), answer(usage=COUNTED))
        turn_id = self.room.take("@writer hello").turn_id
        made = "date_trunc('hour', now(), 'UTC') - make_interval(hours => %s) + interval '20 minutes'"
        for change in (
            f"UPDATE llm_calls SET provider = 'bedrock', created_at = {made}, posted_at = {made}",
            f"UPDATE usage_ledger SET created_at = {made}",
        ):
            params = [hours_ago] * change.count("%s")
            self.room.owner.execute(f"{change} WHERE turn_id = %s".encode(), (*params, turn_id))
        query = "SELECT call_id, date_trunc('hour', created_at, 'UTC') AS hour FROM llm_calls WHERE turn_id = %s"
        lost, found = self.room.rows(f"{query} ORDER BY attempt", turn_id)
        self.forget(lost["hour"] - timedelta(hours=1), lost["hour"] + timedelta(hours=1))
        return lost["call_id"], found["call_id"], lost["hour"]

    def status(self, call_id: UUID) -> str:
        return str(self.room.row("SELECT status FROM llm_calls WHERE call_id = %s", call_id)["status"])

    def remember(self, first: datetime, last: datetime, *, models: str = "{}", ago: str = "0") -> None:
        """Let these hours have been read, so long ago."""
        self.room.owner.execute(
            """INSERT INTO invocation_log_hours
            SELECT hour, now() - %(ago)s::interval, NULL, %(models)s, 0, now()
            FROM generate_series(%(first)s, %(last)s, interval '1 hour') AS hour
            ON CONFLICT (hour) DO UPDATE SET models = excluded.models, started_at = excluded.started_at""",
            {"first": first, "last": last, "models": models, "ago": ago},
        )

    def forget(self, first: datetime, last: datetime) -> None:
        self.room.owner.execute("DELETE FROM invocation_log_hours WHERE hour BETWEEN %s AND %s", (first, last))

    def hours(self, *columns: str) -> list[tuple[Any, ...]]:
        """Of the hours that are remembered, those with objects, oldest first."""
        query = f"SELECT {', '.join(columns)} FROM invocation_log_hours WHERE last_key IS NOT NULL ORDER BY hour"
        return [tuple(row.values()) for row in self.room.rows(query)]


def record(call_id: UUID, stage: str = STAGE) -> dict[str, Any]:
    return invocation(call_id, COUNTED, stage)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{server.get_host_and_port()[1]}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )
    yield client
    client.close()
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def log(room: CouncilRoom, ops_url: str, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(name, value)
    bucket = f"logs-{uuid4()}"
    monkeypatch.setenv(Env.STAGE, STAGE)
    monkeypatch.setenv(Env.OPS_DATABASE_URL, ops_url)
    monkeypatch.setenv(Env.INVOCATION_LOG, f"s3://{bucket}/{FOLDER}")
    for cache in _CACHES:
        cache.cache_clear()
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    log = Log(s3, bucket, room)
    # So that a test is not about the two weeks before it.
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    log.remember(now - timedelta(days=20), now)
    yield log
    if client := invocation_log()._client:
        client.close()
    operations_database().close()
    for cache in _CACHES:
        cache.cache_clear()


def invoke(seconds: float = AMPLE_S) -> dict[str, Any]:
    return handler({"source": "aws.scheduler"}, LambdaContext("reconciler", "request-1", time.monotonic() + seconds))


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, float]]:
    """What was counted since the last time."""

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
    }


def test_what_does_not_fit_the_journal_is_counted_and_named_by_its_id(
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
    }
    logging.getLogger("shared.reconciliation").removeHandler(caplog.handler)


def test_only_the_logs_own_objects_are_read_and_of_them_what_is_ours(
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
    assert load_due_hours(operations_database(), AGE_S) == [hour, hour + timedelta(hours=1)]
    assert invoke()["settled"] == 1
    assert load_due_hours(operations_database(), AGE_S) == []


class CountingLog(InvocationLog):
    """Remembers what was read."""

    def __init__(self, log: Log) -> None:
        super().__init__(f"s3://{log.bucket}/{FOLDER}")
        self.read: list[str] = []

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        self.read.append(key)
        with super().open(key) as unpacked:
            yield unpacked


def test_when_the_time_is_over_the_next_invocation_goes_on_with_the_next_object(log: Log) -> None:
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
    # What was found before is not forgotten.
    assert log.hours("last_key", "models") == [(second, ["scripted-fast"])]
    assert log.status(lost) == "unbilled"


def test_without_time_nothing_is_begun(log: Log) -> None:
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


class TestSilence:
    def test_of_the_log_means_that_nothing_was_billed(self, log: Log) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.write(hour, record(found))
        assert invoke()["settled"] == 1
        assert log.room.accounts()["suspense"] == 0
        assert log.status(lost) == "unbilled"
        assert invoke()["settled"] == 0

    def test_is_believed_no_earlier_than_after_48_hours_and_then_the_log_is_read_once_more(self, log: Log) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=40)
        log.write(hour, record(found))
        assert invoke() == {"finished": True, "records": 1, "settled": 0, "left": 1}
        # Nine hours later.
        for change in (
            "UPDATE invocation_log_hours SET started_at = started_at - interval '9 hours'",
            """UPDATE llm_calls
            SET created_at = created_at - interval '9 hours', posted_at = posted_at - interval '9 hours'""",
        ):
            log.room.owner.execute(change.encode())
        log.write(hour - timedelta(hours=9), record(lost))
        assert invoke()["settled"] == 1
        assert log.room.accounts()["platform"] == FAST_COST

    def test_of_an_hour_is_not_made_up_for_by_another_one(self, log: Log) -> None:
        earlier, found, its_hour = log.lose_a_call(hours_ago=52)
        lost, _, hour = log.lose_a_call(hours_ago=50)
        log.write(its_hour, record(found))
        log.write(hour, record(uuid4(), stage="dev"))
        invoke()
        assert (log.status(earlier), log.status(lost)) == ("unbilled", "unknown")

    @pytest.mark.parametrize("later", [0, 1], ids=["its hour", "the next"])
    @pytest.mark.parametrize("damaged", [b"{\n", b""], ids=["line", "object"])
    def test_says_nothing_where_something_could_not_be_read(self, log: Log, later: int, damaged: bytes) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.write(hour, record(found))
        key = log.write(hour + timedelta(hours=later), damaged)
        if not damaged:
            log.put(key, packed(record(uuid4(), stage="dev"))[:-9])
        assert invoke()["settled"] == 0
        assert log.status(lost) == "unknown"
        # It is restored, and operations ask for the hour again.
        log.put(key, packed(record(uuid4(), stage="dev")))
        log.room.owner.execute(
            "UPDATE invocation_log_hours SET read_at = NULL, last_key = NULL, unreadable = 0 WHERE unreadable > 0"
        )
        assert invoke()["settled"] == 1

    @pytest.mark.parametrize(
        "why",
        {
            "nothing of the hour was found": "UPDATE llm_calls SET created_at = created_at - interval '1 hour'",
            "nothing of the model was found": "UPDATE llm_calls SET model_id = 'x'",
            "the provider has no record": "UPDATE llm_calls SET provider = 'openai'",
            "the call is too young": "UPDATE llm_calls SET created_at = now() - interval '47 hours'",
            "it was just posted": "UPDATE llm_calls SET posted_at = now()",
        }.items(),
        ids=lambda why: why[0],
    )
    def test_says_nothing_where(self, log: Log, why: tuple[str, str]) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.room.owner.execute(f"{why[1]} WHERE status = 'unknown'".encode())
        log.write(hour, record(found))
        assert invoke()["settled"] == 0
        assert log.status(lost) == "unknown"

    @pytest.mark.parametrize("later", [0, 1], ids=["its hour", "the next"])
    @pytest.mark.parametrize(
        "flaw",
        [
            "read_at = NULL",
            "unreadable = 1",
            "started_at = now() - interval '3 hours'",
            "hour = hour - interval '30 days'",
        ],
        ids=["not to its end", "with a line that nobody could read", "too early", "never"],
    )
    def test_says_nothing_where_an_hour_was_read(self, log: Log, ops: Database, later: int, flaw: str) -> None:
        lost, _, hour = log.lose_a_call(hours_ago=50)
        log.remember(hour, hour + timedelta(hours=1), models="{scripted-fast}")
        assert [row["call_id"] for row in load_silent_in_log(ops, AGE_S)] == [lost]
        change = f"UPDATE invocation_log_hours SET {flaw} WHERE hour = %s"
        log.room.owner.execute(change.encode(), (hour + timedelta(hours=later),))
        assert load_silent_in_log(ops, AGE_S) == []

    def test_says_nothing_where_the_call_was_posted_since(self, log: Log, ops: Database) -> None:
        _, _, hour = log.lose_a_call(hours_ago=50)
        log.remember(hour, hour + timedelta(hours=1), models="{scripted-fast}")
        log.room.owner.execute("UPDATE llm_calls SET posted_at = now() - interval '30 seconds'")
        assert load_silent_in_log(ops, AGE_S) == []

    @pytest.mark.parametrize(("minute", "hours"), [(0, (0, 1, -1)), (5, (1, 0)), (59, (0, 1))])
    def test_needs_every_hour_that_may_have_the_record(
        self, log: Log, ops: Database, minute: int, hours: tuple[int, ...]
    ) -> None:
        lost, _, hour = log.lose_a_call(hours_ago=50)
        made = "UPDATE llm_calls SET created_at = %s WHERE call_id = %s"
        log.room.owner.execute(made, (hour + timedelta(minutes=minute), lost))
        assert load_due_hours(ops, AGE_S) == [hour + timedelta(hours=each) for each in (-1, 0, 1)]
        for number in hours:
            assert load_silent_in_log(ops, AGE_S) == []
            log.remember(hour + timedelta(hours=number), hour + timedelta(hours=number), models="{scripted-fast}")
        assert len(load_silent_in_log(ops, AGE_S)) == 1


def test_whoever_begins_an_hour_anew_takes_it_away_from_the_others(log: Log, ops: Database) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    log.forget(hour - timedelta(days=30), hour)
    first = record_reading(ops, hour)
    # Both read on, from where one of them is.
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
