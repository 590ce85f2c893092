"""Tests the effect of one tenant's load on another tenant, on a stack of its own."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from statistics import median

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.event_source import POLL_S
from local.gateway.pool import MAX_WORKERS
from local.stack import Stack
from shared.db.api.wait_slots import SLOTS
from shared.db.engine import Row
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant, open_client, with_provider

QUEUED = 150
WAITS = 40
# The time to start a turn depends on the event source's poll, so it is measured several times.
MEASURED = 8
DRAINED_S = 120.0
_TURNS = """SELECT count(*) FILTER (WHERE status <> 'accepted') AS begun,
    count(*) FILTER (WHERE status = 'completed') AS ended FROM turns WHERE tenant_id = %s"""
_STARTED = """SELECT extract(epoch FROM min(c.created_at) - min(t.created_at))::float8 AS seconds
    FROM turns t JOIN llm_calls c ON c.turn_id = t.id WHERE t.id = %s"""
_WAITS = "SELECT count(*) AS active FROM waits WHERE tenant_id = %s AND ends_at > clock_timestamp()"


@pytest.fixture(scope="module")
def unlimited(everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without a limit of active turns, where a call lasts as long as it is held."""
    limits = {"tenant_active_turns": 0, "max_call_s": 300}
    with Stack.start(with_provider(everybodys_provider, tmp_path_factory.mktemp("unlimited"), **limits)) as stack:
        yield stack


@pytest.fixture
def make(
    unlimited: Stack, provider: FakeProvider, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, str], Tenant]]:
    """Makes a tenant of this name with one agent."""
    clients: list[httpx.Client] = []
    with psycopg.connect(unlimited.owner_url, autocommit=True, row_factory=dict_row) as owner:

        def made(name: str, agent: str) -> Tenant:
            tenant_id = f"{name} of {request.node.name}"
            clients.append(open_client(unlimited.url, unlimited.token(tenant=tenant_id)))
            tenant = Tenant(tenant_id, clients[-1], owner, provider, len(provider.rows))
            tenant.make_agents(agent)
            return tenant

        yield made
    for client in clients:
        client.close()


def post_later(tenant: Tenant, agent: str) -> str:
    """Queue a turn in a session of its own."""
    headers = {"Prefer": "respond-async"}
    body = {"message": f"@{agent} hello"}
    answer = tenant.http.post(f"sessions/{tenant.make_session(agent)}/turns", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def seconds_until_started(tenant: Tenant) -> float:
    """The seconds from the acceptance of a turn to its first call."""
    turn_id = post_later(tenant, "critic")
    tenant.wait_for(turn_id)
    return float(tenant.row(_STARTED, turn_id)["seconds"])


def test_a_turn_starts_as_fast_as_alone_behind_150_queued_turns_of_another_tenant(
    make: Callable[[str, str], Tenant], provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when="You are Writer,", times=None)
    quiet, noisy = make("quiet", "critic"), make("noisy", "writer")

    def turns() -> Row:
        return noisy.row(_TURNS, noisy.id)

    alone = median(seconds_until_started(quiet) for _ in range(MEASURED))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: post_later(noisy, "writer"), range(QUEUED)))
    eventually(lambda: turns()["begun"] >= MAX_WORKERS // 2)
    behind = median(seconds_until_started(quiet) for _ in range(MEASURED))
    # None of the turns that have begun can end before the release.
    assert turns() == {"begun": MAX_WORKERS // 2, "ended": 0}
    # Alone, a lucky turn starts before the event source has paused once.
    assert behind <= 3 * max(alone, POLL_S)
    provider.release()
    eventually(lambda: turns()["ended"] == QUEUED, DRAINED_S)


def test_eight_of_forty_waits_wait_and_another_tenant_is_answered(
    make: Callable[[str, str], Tenant], provider: FakeProvider
) -> None:
    provider.add(moods.hold(), when="You are Writer,", times=None)
    quiet, noisy = make("quiet", "critic"), make("noisy", "writer")
    turn_id = post_later(noisy, "writer")
    noisy.wait_for_requests(1)
    with ThreadPoolExecutor(WAITS) as threads:
        waits = [threads.submit(noisy.http.get, f"turns/{turn_id}", params={"wait": 20}) for _ in range(WAITS)]
        at_once = [answer.result() for answer in islice(as_completed(waits), WAITS - SLOTS)]
        assert quiet.http.get("agents").status_code == 200
        assert noisy.row(_WAITS, noisy.id) == {"active": SLOTS}
        provider.release()
    assert {(answer.status_code, answer.json()["status"]) for answer in at_once} == {(200, "running")}
    assert Counter(answer.result().json()["status"] for answer in waits) == {
        "running": WAITS - SLOTS,
        "completed": SLOTS,
    }
