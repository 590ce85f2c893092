"""Stand in for AWS's queues and schedule: deliver waiting turns to the worker, and invoke the sweeper every minute.

It reads the rows of turns instead of a queue. A turn that was handed over, or whose lease has expired, is delivered as
an SQS event to the worker or to the function for graphs. No turn is delivered twice at the same time. A tenant gets at
most half of the workers. The next worker goes to the tenant with the fewest turns in flight.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from local.gateway.pool import Function, Pool
from shared.domain.message import TurnMessage
from shared.graph_names import is_graph

# Lambda's longest timeout, in seconds.
WORKER = Function("worker", "functions.worker.handler:handler", 900.0)
GRAPHS = Function("graphs", "functions.graphs.handler:handler", 900.0)
SWEEPER = Function("sweeper", "functions.sweeper.handler:handler", 60.0)
SWEEP_EVERY_S = 60.0
POLL_S = 0.3
_RECONNECT_S = 2.0
# The pause before the next delivery of a turn doubles with each failure, up to this number of seconds.
_LONGEST_PAUSE_S = 60.0
# Returns each tenant's oldest turn, then each tenant's second. Leaves out turns that wait for a provider, because SQS
# delivers them later (DelaySeconds). A turn waits at most 30 s, and then asks the fallback alias.
_DUE = """
    SELECT id, tenant_id, mode FROM (
        SELECT id, tenant_id, mode, dispatch_after,
               row_number() OVER (PARTITION BY tenant_id ORDER BY dispatch_after) AS place
        FROM public.turns
        WHERE status IN ('accepted', 'running') AND (status = 'accepted' OR lease_expires_at < clock_timestamp())
            AND id <> ALL (%s)
            AND NOT EXISTS (
                SELECT FROM public.llm_calls c
                WHERE c.turn_id = turns.id AND c.error_code = 'throttled' AND c.retry_at > clock_timestamp()
                    AND c.retry_at <= c.finished_at + interval '30 seconds'
            )
    ) waiting
    ORDER BY place, dispatch_after LIMIT 100"""

logger = logging.getLogger(__name__)


class EventSource:
    """Deliver turns from the database at `url` to the pool's functions, and invoke its sweeper.

    It reads as the role for operations. If the pool `has_graphs`, turns of graphs go to the function for graphs."""

    def __init__(self, pool: Pool, url: str, *, has_graphs: bool = False) -> None:
        self._pool = pool
        self._url = url
        self._has_graphs = has_graphs
        self._in_flight: dict[UUID, asyncio.Task[None]] = {}
        # The number of turns in flight, by tenant.
        self._of_tenant: Counter[str] = Counter()
        # By turn: its failures in a row, and the time of the next delivery.
        self._failures: dict[UUID, tuple[int, float]] = {}

    async def run(self) -> None:
        """Deliver and sweep until cancelled. Reconnects after a loss of the database."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep())
            tasks.create_task(self._watch())

    async def _sweep(self) -> None:
        while True:
            result = await self._pool.invoke(SWEEPER.name, build_schedule_event())
            if result.status != "succeeded":
                logger.warning("The sweeper %s.", result.status.replace("_", " "))
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _watch(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    while True:
                        await self._deliver(connection)
                        await asyncio.sleep(POLL_S)
            except psycopg.OperationalError as error:
                logger.warning("The event source lost the database (%s).", type(error).__name__)
                await asyncio.sleep(_RECONNECT_S)

    async def _deliver(self, connection: psycopg.AsyncConnection[Any]) -> None:
        now = time.monotonic()
        paused = [turn_id for turn_id, (_, not_before) in self._failures.items() if now < not_before]
        due = await (await connection.execute(_DUE, [[*self._in_flight, *paused]])).fetchall()
        workers = self._pool.max_workers
        while due and len(self._in_flight) < workers:
            # The first turn of the tenant with the fewest turns in flight.
            turn_id, tenant_id, mode = turn = min(due, key=lambda turn: self._of_tenant[turn[1]])
            if self._of_tenant[tenant_id] >= max(1, workers // 2):
                break
            due.remove(turn)
            self._of_tenant[tenant_id] += 1
            self._in_flight[turn_id] = asyncio.create_task(
                self._invoke(TurnMessage(turn_id, tenant_id, is_graph(mode)))
            )

    async def _invoke(self, message: TurnMessage) -> None:
        turn_id, tenant_id = message.turn_id, message.tenant_id
        failures = self._failures.get(turn_id, (0, 0.0))[0] + 1
        # Without graphs, the worker ends the turns of an earlier run with graphs.
        function = GRAPHS if message.is_graph and self._has_graphs else WORKER
        try:
            result = await self._pool.invoke(function.name, build_sqs_event(message, receive_count=failures))
            if result.status == "succeeded" and not result.payload["batchItemFailures"]:
                self._failures.pop(turn_id, None)
                return
            pause = min(2.0**failures, _LONGEST_PAUSE_S)
            self._failures[turn_id] = (failures, time.monotonic() + pause)
        finally:
            del self._in_flight[turn_id]
            self._of_tenant[tenant_id] -= 1


def build_sqs_event(message: TurnMessage, *, receive_count: int) -> Mapping[str, Any]:
    sent = str(int(time.time() * 1000))
    record = {
        "messageId": str(uuid4()),
        "receiptHandle": "local",
        "body": message.as_json(),
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": sent,
            "SenderId": "local",
            "ApproximateFirstReceiveTimestamp": sent,
            "MessageGroupId": message.group,
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:000000000000:pantheon-turns",
        "awsRegion": "local",
    }
    return {"Records": [record]}


def build_schedule_event() -> Mapping[str, Any]:
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "local",
        "resources": ["arn:aws:events:local:000000000000:rule/pantheon-sweeper"],
        "detail": {},
    }
