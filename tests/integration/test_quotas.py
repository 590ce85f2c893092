"""Tests a tenant's quotas of agents, councils, sessions and API keys, also with many requests at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from uuid6 import uuid7

from shared.db.api import sessions
from shared.db.api.agents import (
    load_unknown_keys,
    record_agent,
    record_agent_change,
    record_agent_deletion,
)
from shared.db.api.api_keys import record_api_key
from shared.db.api.councils import record_council, record_council_change, record_council_deletion
from shared.db.api.quotas import LOCK_TENANT
from shared.db.api.sessions import record_session, record_session_deletion
from shared.db.engine import Database, Row
from shared.domain.actor import Actor
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.errors import InvalidRequest, QuotaExceeded
from shared.names import Env, Role
from shared.operations.retention import remove_keys
from shared.settings import quota_settings
from tests.support.chat_program import ChatProgram
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.watched_database import transaction

TENANT = "tenant-1"
POSTS = 30
AGENT: dict[str, object] = {
    **{"name": "Writer", "role_prompt": "You write.", "model_alias": "fast"},
    **{"max_output_tokens": 100, "temperature": None, "enabled": True},
}
COUNCIL: dict[str, object] = {
    **{"name": "Panel", "mode": "council", "agent_keys": [], "fan_out": "sequential", "chair_key": None},
}
SESSION: dict[str, object] = {"title": "", "mode": "manual", "agent_keys": ["writer"], "fan_out": "sequential"}

Add = Callable[[Database], object]


def add_agent(db: Database) -> object:
    return record_agent(db, TENANT, f"agent-{uuid4().hex[:20]}", AGENT)


def put_agent(db: Database) -> object:
    return record_agent_change(db, TENANT, f"agent-{uuid4().hex[:20]}", AGENT)


def add_council(db: Database) -> object:
    return record_council(db, TENANT, f"council-{uuid4().hex[:20]}", COUNCIL)


def put_council(db: Database) -> object:
    return record_council_change(db, TENANT, f"council-{uuid4().hex[:20]}", COUNCIL)


def add_session(db: Database) -> object:
    return record_session(db, TENANT, "user-1", uuid7(), SESSION)["id"]


def add_key(db: Database, **changes: object) -> Any:
    key = new_key()
    fields = {"name": "CI", "role": "member", "prefix": prefix_of(key), "key_hash": hash_key(key)}
    return record_api_key(db, TENANT, uuid7(), fields | {"created_by": "user-1", "expires_at": None} | changes)["id"]


QUOTAS = {
    "agents by POST": (Env.MAX_AGENTS, add_agent, "SELECT FROM agents WHERE deleted_at IS NULL"),
    "agents by PUT": (Env.MAX_AGENTS, put_agent, "SELECT FROM agents WHERE deleted_at IS NULL"),
    "councils by POST": (Env.MAX_AGENTS, add_council, "SELECT FROM councils WHERE deleted_at IS NULL"),
    "councils by PUT": (Env.MAX_AGENTS, put_council, "SELECT FROM councils WHERE deleted_at IS NULL"),
    "sessions": (Env.MAX_SESSIONS, add_session, "SELECT FROM sessions WHERE deleted_at IS NULL"),
    "API keys": (Env.MAX_API_KEYS, add_key, "SELECT FROM api_keys"),
}


@pytest.fixture
def limit(scripted_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Env, int], None]]:
    def set_limit(name: Env, number: int) -> None:
        monkeypatch.setenv(name, str(number))
        quota_settings.cache_clear()

    yield set_limit
    quota_settings.cache_clear()


def test_sessions_that_no_person_made_are_outside_the_quota(
    room: CouncilRoom, limit: Callable[[Env, int], None]
) -> None:
    limit(Env.MAX_SESSIONS, 2)
    program = ChatProgram(room)
    for _ in range(3):
        program.ask("one")
        program.ask("one", model=None, alias="fast")
    add_session(room.db)
    with pytest.raises(QuotaExceeded):
        add_session(room.db)


@pytest.mark.parametrize("quota", QUOTAS)
def test_posts_at_once_never_exceed_a_quota(
    app_url: str, owner: psycopg.Connection[Row], limit: Callable[[Env, int], None], quota: str
) -> None:
    setting, add, rows = QUOTAS[quota]
    limit(setting, 7)
    start = threading.Barrier(POSTS)

    def post(db: Database) -> bool:
        start.wait()
        try:
            add(db)
        except QuotaExceeded:
            return False
        return True

    with ExitStack() as stack, ThreadPoolExecutor(POSTS) as pool:
        databases = [Database(app_url) for _ in range(POSTS)]
        for db in databases:
            stack.callback(db.close)
            load_unknown_keys(db, TENANT, [])
        # The tenant's row exists, so only its lock orders the others.
        add(databases[0])
        assert sum(pool.map(post, databases)) == 6
    assert len(owner.execute(rows.encode()).fetchall()) == 7


@pytest.mark.parametrize("quota", QUOTAS)
def test_adding_waits_for_another_request_that_adds(room: CouncilRoom, quota: str) -> None:
    _, add, _ = QUOTAS[quota]
    other = room.open_database()
    with ThreadPoolExecutor(1) as pool, transaction(room.db, TENANT) as execute:
        execute(LOCK_TENANT, {"b_tenant_id": TENANT}, lambda _: None)
        added = pool.submit(add, other)
        room.wait_until_blocked()
        assert not added.done()


@pytest.mark.parametrize("quota", QUOTAS)
def test_a_refusal_names_quota_figure_and_setting(db: Database, limit: Callable[[Env, int], None], quota: str) -> None:
    setting, add, _ = QUOTAS[quota]
    limit(setting, 2)
    add(db), add(db)
    with pytest.raises(QuotaExceeded) as refused:
        add(db)
    assert (refused.value.status, refused.value.code) == (422, "quota_exceeded")
    named = quota.partition(" by ")[0]
    assert refused.value.extra == {"quota": named, "limit": 2}
    assert f"2 {named}" in refused.value.detail
    assert setting in refused.value.detail


@pytest.mark.parametrize("quota", QUOTAS)
def test_a_tenants_quota_is_its_own(db: Database, owner: psycopg.Connection[Row], limit: Any, quota: str) -> None:
    setting, add, _ = QUOTAS[quota]
    limit(setting, 1)
    add(db)
    for table in ("agent_versions", "agents", "councils", "sessions", "api_keys"):
        owner.execute(f"UPDATE {table} SET tenant_id = 'tenant-2'".encode())
    add(db)


def test_a_deleted_agent_makes_room_and_a_change_needs_none(db: Database, limit: Callable[[Env, int], None]) -> None:
    limit(Env.MAX_AGENTS, 1)
    record_agent(db, TENANT, "one", AGENT)
    assert record_agent_change(db, TENANT, "one", AGENT | {"name": "Other"}).agent.version == 2
    record_agent_deletion(db, TENANT, "one")
    record_agent(db, TENANT, "two", AGENT)
    with pytest.raises(QuotaExceeded):
        record_agent(db, TENANT, "one", AGENT)


def test_a_tenant_uses_ten_times_as_many_keys_of_agents_and_then_old_ones(
    db: Database, owner: psycopg.Connection[Row], limit: Callable[[Env, int], None]
) -> None:
    limit(Env.MAX_AGENTS, 2)
    for number in range(20):
        record_agent(db, TENANT, f"agent-{number}", AGENT)
        record_agent_deletion(db, TENANT, f"agent-{number}")
    with pytest.raises(QuotaExceeded) as refused:
        record_agent(db, TENANT, "another", AGENT)
    assert refused.value.extra == {"quota": "agent keys", "limit": 20}
    assert record_agent(db, TENANT, "agent-3", AGENT).version == 2
    assert len(owner.execute("SELECT FROM agents").fetchall()) == 20


def test_a_deleted_council_makes_room_and_a_change_needs_none(db: Database, limit: Callable[[Env, int], None]) -> None:
    limit(Env.MAX_AGENTS, 1)
    record_council(db, TENANT, "one", COUNCIL)
    # Agents are counted apart.
    add_agent(db)
    assert record_council_change(db, TENANT, "one", COUNCIL | {"name": "Other"}).council.version == 2
    record_council_deletion(db, TENANT, "one")
    record_council(db, TENANT, "two", COUNCIL)
    with pytest.raises(QuotaExceeded):
        record_council(db, TENANT, "one", COUNCIL)


def test_a_tenant_uses_ten_times_as_many_keys_of_councils_and_then_old_ones(
    db: Database, limit: Callable[[Env, int], None]
) -> None:
    limit(Env.MAX_AGENTS, 2)
    for number in range(20):
        record_council(db, TENANT, f"council-{number}", COUNCIL)
        record_council_deletion(db, TENANT, f"council-{number}")
    with pytest.raises(QuotaExceeded) as refused:
        record_council(db, TENANT, "another", COUNCIL)
    assert refused.value.extra == {"quota": "council keys", "limit": 20}
    assert record_council(db, TENANT, "council-3", COUNCIL).version == 2


def test_a_deleted_session_makes_room(db: Database, limit: Callable[[Env, int], None]) -> None:
    limit(Env.MAX_SESSIONS, 1)
    made: Any = add_session(db)
    record_session_deletion(db, Actor(TENANT, "user-1"), made)
    add_session(db)


class TestApiKeys:
    def end(self, owner: psycopg.Connection[Row], key_id: object, column: str, ago: str) -> None:
        query = f"UPDATE api_keys SET {column} = now() - %s::interval WHERE id = %s"
        owner.execute(query.encode(), (ago, key_id))

    @pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
    def test_a_key_counts_until_90_days_after_its_end(
        self, db: Database, owner: psycopg.Connection[Row], limit: Any, column: str
    ) -> None:
        limit(Env.MAX_API_KEYS, 1)
        key_id = add_key(db)
        self.end(owner, key_id, column, "89 days")
        with pytest.raises(QuotaExceeded):
            add_key(db)
        self.end(owner, key_id, column, "91 days")
        add_key(db)

    @pytest.mark.usefixtures("scripted_settings")
    def test_an_expiry_that_has_passed_is_refused_as_such(self, db: Database) -> None:
        with pytest.raises(InvalidRequest, match="expires_at") as refused:
            add_key(db, expires_at="2020-01-01T00:00:00Z")
        assert not isinstance(refused.value, QuotaExceeded)

    @pytest.mark.usefixtures("scripted_settings")
    def test_operations_remove_keys_that_ended_90_days_ago_and_no_others(
        self, db: Database, database_urls: DatabaseUrls, owner: psycopg.Connection[Row]
    ) -> None:
        old, expired, young, living = (add_key(db) for _ in range(4))
        self.end(owner, old, "revoked_at", "91 days")
        self.end(owner, expired, "expires_at", "91 days")
        self.end(owner, young, "revoked_at", "89 days")
        self.end(owner, young, "expires_at", "-91 days")
        operations = Database(database_urls.of(Role.OPS))
        assert (remove_keys(operations, 60.0), remove_keys(operations, 60.0)) == (2, 0)
        operations.close()
        kept = owner.execute("SELECT id FROM api_keys ORDER BY id").fetchall()
        assert [row["id"] for row in kept] == [young, living]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_living_sessions_are_counted_by_their_index(room: CouncilRoom, mode: str) -> None:
    """A tenant may have deleted many more than it has. Sessions that no person made do not count."""
    room.owner.execute(
        """INSERT INTO sessions SELECT gen_random_uuid(), tenant_id, user_id, '', mode, fan_out, agent_keys, 2,
        now(), created_at, updated_at FROM sessions, generate_series(1, 20000)"""
    )
    room.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, origin)
        SELECT gen_random_uuid(), tenant_id, user_id, '', mode, fan_out, agent_keys,
               CASE WHEN n % 2 = 0 THEN 'chat' ELSE 'call' END
        FROM sessions, generate_series(1, 20000) n WHERE deleted_at IS NULL"""
    )
    room.owner.execute("ANALYZE sessions")
    params = {f"b_{name}": value for name, value in SESSION.items()}
    params |= {"b_id": uuid7(), "b_tenant_id": TENANT, "b_user_id": "user-1", "b_most": 100}
    params |= {"b_visibility": "private", "b_chair_key": "writer"}
    ((text, values),) = sessions._INSERT.sent(params)
    with psycopg.connect(room.app_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        connection.execute(b"SELECT set_config('app.tenant_id', %s, false)", [TENANT])
        connection.execute(f"PREPARE add AS {text}".encode())
        arguments = ", ".join("'{writer}'" if isinstance(value, list) else f"'{value}'" for value in values)
        plan = connection.execute(f"EXPLAIN EXECUTE add ({arguments})".encode()).fetchall()
    assert "sessions_counted_of_tenant_idx" in str(plan)
    room.owner.execute("DELETE FROM sessions WHERE deleted_at IS NOT NULL OR origin <> 'api'")
