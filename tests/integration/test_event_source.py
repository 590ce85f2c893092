"""Tests the order in which the local event source gives waiting turns to workers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
import pytest

from local.event_source import EventSource
from local.gateway.pool import InvocationResult, Pool
from shared.domain.message import TurnMessage
from shared.llm.port import Completion
from tests.support.council_room import CouncilRoom


@dataclass
class Workers:
    """A pool whose workers are busy until they are told to end."""

    max_workers: int
    busy: list[tuple[str, asyncio.Event]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    async def invoke(self, function: str, event: Mapping[str, Any]) -> InvocationResult:
        (record,) = event["Records"]
        end = asyncio.Event()
        self.functions.append(function)
        self.busy.append((TurnMessage.from_json(record["body"]).tenant_id, end))
        await end.wait()
        return InvocationResult("succeeded", {"batchItemFailures": []})

    @property
    def tenants(self) -> list[str]:
        """The tenants of the delivered turns, in order."""
        return [tenant for tenant, _ in self.busy]


def accept(room: CouncilRoom, *, turns: int) -> None:
    for _ in range(turns):
        room.take("@writer hello", later=True, session_id=room.make_session())


def test_the_tenant_with_the_fewest_turns_in_flight_gets_the_next_worker(room: CouncilRoom, ops_url: str) -> None:
    second, third = (CouncilRoom(room.owner, room.app_url, tenant_id=f"tenant-{number}") for number in (2, 3))
    workers = Workers(4)

    async def scenario() -> None:
        source = EventSource(cast("Pool", workers), ops_url)
        async with await psycopg.AsyncConnection.connect(ops_url, autocommit=True) as connection:

            async def deliver() -> None:
                await source._deliver(connection)
                # Let the tasks begin.
                await asyncio.sleep(0)

            async def end_all() -> None:
                for _, end in workers.busy:
                    end.set()
                await asyncio.sleep(0.01)

            accept(room, turns=5)
            await deliver()
            # Half of the workers, however many turns wait.
            assert workers.tenants == ["tenant-1"] * 2
            accept(second, turns=5)
            await deliver()
            assert workers.tenants[2:] == ["tenant-2"] * 2
            accept(third, turns=1)
            await deliver()
            assert len(workers.busy) == 4
            workers.busy[0][1].set()
            await asyncio.sleep(0.01)
            await deliver()
            assert workers.tenants[4:] == ["tenant-3"]
            await end_all()
            # No worker has run them, so all of them are due again.
            await deliver()
            assert sorted(workers.tenants[5:]) == ["tenant-1", "tenant-1", "tenant-2", "tenant-3"]
            await end_all()

    with second.databases, third.databases:
        asyncio.run(scenario())


def test_a_turn_whose_provider_asked_to_wait_is_delivered_when_that_is_over(room: CouncilRoom, ops_url: str) -> None:
    workers = Workers(4)

    def hand_over(alias: str, retry_after_s: float) -> None:
        """Return a turn that has no time for a second call."""
        room.provider.enqueue(Completion("unbilled", error="throttled", retry_after_s=retry_after_s))
        left = iter([30.0])
        runner = room.runner(seconds_left=lambda: next(left, 0.0))
        assert room.take(f"@{alias} hello", runner=runner, session_id=room.make_session()).handed_over

    async def scenario() -> None:
        source = EventSource(cast("Pool", workers), ops_url)
        async with await psycopg.AsyncConnection.connect(ops_url, autocommit=True) as connection:
            await source._deliver(connection)
            await asyncio.sleep(0)
            assert workers.tenants == []
            # For a longer wait the fallback alias is asked.
            hand_over("researcher", 31.0)
            await source._deliver(connection)
            await asyncio.sleep(0)
            assert len(workers.tenants) == 1
            room.owner.execute("UPDATE llm_calls SET retry_at = clock_timestamp() WHERE model_alias = 'fast'")
            await source._deliver(connection)
            await asyncio.sleep(0)
            assert len(workers.tenants) == 2
            for _, end in workers.busy:
                end.set()
            await asyncio.sleep(0.01)

    hand_over("writer", 20.0)
    asyncio.run(scenario())


@pytest.mark.parametrize(("has_graphs", "delivered"), [(True, ["graphs", "worker"]), (False, ["worker", "worker"])])
def test_the_turn_of_a_graph_is_delivered_to_the_function_for_graphs_or_to_the_worker_when_there_is_none(
    room: CouncilRoom, ops_url: str, has_graphs: bool, delivered: list[str]
) -> None:
    workers = Workers(4)
    accept(room, turns=1)
    room.owner.execute("UPDATE turns SET mode = 'graph:review'")
    accept(room, turns=1)

    async def scenario() -> None:
        source = EventSource(cast("Pool", workers), ops_url, has_graphs=has_graphs)
        async with await psycopg.AsyncConnection.connect(ops_url, autocommit=True) as connection:
            await source._deliver(connection)
            await asyncio.sleep(0)
            for _, end in workers.busy:
                end.set()
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert sorted(workers.functions) == delivered
