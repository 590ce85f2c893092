"""Writes Bedrock's invocation log into a moto bucket of S3, for the reconciler."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from functions.reconciler.handler import handler
from local.gateway.worker import LambdaContext
from shared.domain.money import Usage
from shared.reconciliation.reconcile import SILENT_AFTER
from tests.support.council_room import AMPLE_S, CouncilRoom, answer, unknown
from tests.support.fake_bedrock.environment import REGION
from tests.support.invocation_records import invocation, packed

HOST = "127.0.0.1"
STAGE = "prod"
FOLDER = f"council/AWSLogs/123456789012/BedrockModelInvocationLogs/{REGION}"
# USAGE, as Bedrock counts: thinking is among what was written.
COUNTED = Usage(1000, 207, 50, 10)
AGE_S = SILENT_AFTER.total_seconds()


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


def invoke(seconds: float = AMPLE_S) -> dict[str, Any]:
    return handler({"source": "aws.scheduler"}, LambdaContext("reconciler", "request-1", time.monotonic() + seconds))
