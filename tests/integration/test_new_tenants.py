"""Tests that a new tenant starts with the template's roster, which is written once and completely."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from functions import requests
from functions.api import agents, api_keys, councils, sessions
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.agents import record_agent
from shared.db.api.new_tenants import _ADD_ROSTER, add_roster, template
from shared.db.api.quotas import LOCK_TENANT
from shared.db.engine import Database, Row
from shared.names import API_PREFIX, Env
from tests.support.gateway import body_of, problem_of, request
from tests.support.watched_database import WatchedDatabase, transaction

TEMPLATE = """
[agents.writer]
name = "Writer \u20ac"
role_prompt = 'You "write".'
model_alias = "fast"
temperature = 0.5
max_output_tokens = 9

[agents.critic]
name = "Critic"
role_prompt = "You criticise."
model_alias = "deep"
enabled = false

[councils.panel]
name = "Panel"
mode = "council"
agent_keys = ["writer", "critic"]
chair_key = "critic"

[councils.table]
name = "Table"
mode = "roundtable"
agent_keys = ["critic"]
fan_out = "parallel"
"""
AGENT = {"name": "Mine", "role_prompt": "You plan.", "model_alias": "fast"}

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def roster(scripted_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "roster.toml"
    file.write_text(TEMPLATE, "utf-8")
    monkeypatch.setenv(Env.ROSTER, str(file))
    yield file
    template.cache_clear()
    add_roster.cache_clear()


@pytest.fixture
def watched(app_url: str) -> Iterator[WatchedDatabase]:
    db = WatchedDatabase(app_url)
    yield db
    db.close()


@pytest.fixture
def ask(watched: WatchedDatabase, roster: Path, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Sends a request of a tenant's admin."""
    app = create_app("Pantheon")
    monkeypatch.setattr(requests, "database", lambda: watched)
    for noun in (agents, api_keys, councils, sessions):
        monkeypatch.setattr(noun, "database", lambda: watched)
        app.include_router(noun.router)
    handler = lambda_handler(app)

    def asked(method: str, path: str, body: object = None, *, tenant: str = "tenant-1") -> dict[str, Any]:
        app.dependency_overrides[caller] = lambda: Caller("admin-1", tenant, None, ("member", "admin"))
        return handler(request(method, f"{API_PREFIX}/{path}", body), LambdaContext("api", "invocation", 1e12))

    return asked


def keys(answer: dict[str, Any]) -> list[str]:
    return [item["key"] for item in body_of(answer)["items"]]


def test_a_new_tenant_has_the_roster_of_the_template(ask: Ask) -> None:
    assert [{**item} for item in body_of(ask("GET", "agents"))["items"]] == [
        {
            **{"key": "critic", "name": "Critic", "role_prompt": "You criticise.", "model_alias": "deep"},
            **{"max_output_tokens": None, "temperature": None, "enabled": False, "version": 1},
        },
        {
            **{"key": "writer", "name": "Writer \u20ac", "role_prompt": 'You "write".', "model_alias": "fast"},
            **{"max_output_tokens": 9, "temperature": 0.5, "enabled": True, "version": 1},
        },
    ]
    assert body_of(ask("GET", "councils"))["items"] == [
        {
            **{"key": "table", "name": "Table", "mode": "roundtable", "agent_keys": ["critic"]},
            **{"fan_out": "parallel", "chair_key": None, "version": 1},
        },
        {
            **{"key": "panel", "name": "Panel", "mode": "council", "agent_keys": ["writer", "critic"]},
            **{"fan_out": "sequential", "chair_key": "critic", "version": 1},
        },
    ]
    changed = ask("PUT", "agents/writer", AGENT)
    assert (changed["statusCode"], body_of(changed)["version"]) == (200, 2)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "agents/writer", None, 200),
        ("GET", "agents/writer/versions", None, 200),
        ("POST", "agents", AGENT | {"key": "mine"}, 201),
        ("GET", "councils/panel", None, 200),
        ("DELETE", "councils/panel", None, 204),
        ("GET", "sessions", None, 200),
        ("POST", "sessions", {"council_key": "panel"}, 201),
        ("POST", "sessions", {"agent_keys": ["writer"]}, 201),
        ("POST", "api-keys", {"name": "CI"}, 201),
    ],
)
def test_a_tenants_first_request_finds_the_roster(ask: Ask, method: str, path: str, body: object, status: int) -> None:
    assert ask(method, path, body)["statusCode"] == status
    assert set(keys(ask("GET", "agents"))) >= {"writer", "critic"}


def test_a_tenant_that_is_known_gets_no_roster(ask: Ask, db: Database, owner: psycopg.Connection[Row]) -> None:
    owner.execute("INSERT INTO tenants (tenant_id) VALUES ('tenant-1')")
    assert keys(ask("GET", "agents")) == keys(ask("GET", "councils")) == []
    # An early release made agents without a row of their tenant.
    record_agent(db, "tenant-2", "mine", AGENT | {"max_output_tokens": 1, "temperature": None, "enabled": True})
    owner.execute("DELETE FROM tenants WHERE tenant_id = 'tenant-2'")
    assert (keys(ask("GET", "agents", tenant="tenant-2")), keys(ask("GET", "councils", tenant="tenant-2"))) == (
        ["mine"],
        [],
    )
    assert len(keys(ask("GET", "agents", tenant="tenant-3"))) == 2


def test_deleted_agent_of_the_roster_stays_deleted(ask: Ask) -> None:
    for path in ("councils/panel", "councils/table", "agents/writer", "agents/critic"):
        assert ask("DELETE", path)["statusCode"] == 204
    add_roster.cache_clear()
    assert keys(ask("GET", "agents")) == keys(ask("GET", "councils")) == []


def test_a_process_asks_once_for_each_tenant(ask: Ask, watched: WatchedDatabase) -> None:
    for tenant in ("tenant-1", "tenant-2"):
        ask("GET", "sessions", tenant=tenant)

    def fail() -> None:
        raise AssertionError("the template was written again")

    watched.before(_ADD_ROSTER, fail)
    for tenant in ("tenant-1", "tenant-2"):
        assert len(keys(ask("GET", "agents", tenant=tenant))) == 2


@pytest.mark.usefixtures("roster")
def test_the_roster_is_written_once_if_many_requests_are_the_first(
    app_url: str, owner: psycopg.Connection[Row]
) -> None:
    databases = [Database(app_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            list(pool.map(add_roster, databases, [f"tenant-{number}"] * len(databases)))
    for db in databases:
        db.close()
    counts = "SELECT (SELECT count(*) FROM {}) AS rows"
    found = [owner.execute(counts.format(name).encode()).fetchall()[0]["rows"] for name in ("agents", "agent_versions")]
    assert (found, owner.execute("SELECT count(*) AS rows FROM councils").fetchall()) == ([20, 20], [{"rows": 20}])


@pytest.mark.usefixtures("roster")
def test_a_request_waits_for_a_roster_that_is_not_committed(watched: WatchedDatabase, app_url: str) -> None:
    other = Database(app_url)
    with ThreadPoolExecutor(1) as pool, transaction(watched, "tenant-1") as execute:
        execute(LOCK_TENANT, {"b_tenant_id": "tenant-1"}, lambda _: None)
        welcomed = pool.submit(add_roster, other, "tenant-1")
        with pytest.raises(TimeoutError):
            welcomed.result(0.5)
    welcomed.result(30)
    other.close()


def test_nothing_of_a_roster_is_written_if_a_row_of_it_fails(ask: Ask, owner: psycopg.Connection[Row]) -> None:
    owner.execute("ALTER TABLE councils ADD CONSTRAINT fails CHECK (key <> 'table')")
    try:
        problem_of(ask("GET", "agents"), 500, "internal_error")
        for name in ("tenants", "agents", "agent_versions", "councils"):
            assert owner.execute(f"SELECT FROM {name}".encode()).fetchall() == []
    finally:
        owner.execute("ALTER TABLE councils DROP CONSTRAINT fails")
    assert len(keys(ask("GET", "agents"))) == 2


def test_a_tenant_starts_empty_without_a_template_or_with_an_empty_one(ask: Ask, roster: Path) -> None:
    roster.write_text("")
    assert keys(ask("GET", "agents")) == []
    template.cache_clear()
    # The tenant had no roster yet, and is still new.
    add_roster.cache_clear()
    roster.write_text(TEMPLATE, "utf-8")
    assert len(keys(ask("GET", "agents"))) == 2


def test_a_wrong_template_is_500_and_writes_nothing(ask: Ask, roster: Path, owner: psycopg.Connection[Row]) -> None:
    roster.write_text(TEMPLATE.replace('"deep"', '"huge"'), "utf-8")
    problem = problem_of(ask("GET", "agents"), 500, "misconfigured")
    assert "[agents.critic] model_alias: must be one of" in problem["detail"]
    assert owner.execute("SELECT FROM tenants").fetchall() == []
