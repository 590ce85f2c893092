"""Tests that new tenants of a local run start with the demo's roster or with that of the user's file."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from local.stack import Stack
from shared.errors import ConfigurationError
from tests.support.stack.tenant import environ, open_client

AGENTS = ["writer", "researcher", "critic", "planner"]
MINE = '[agents.mine]\nname = "Mine"\nrole_prompt = "You plan."\nmodel_alias = "fast"\n'


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A run whose user names no roster."""
    variables = environ(tmp_path_factory.mktemp("rosters"), llm_provider="scripted")
    del variables["PANTHEON_ROSTER"]
    with Stack.start(variables) as stack:
        yield stack


def keys(http: httpx.Client, path: str) -> list[str]:
    return [item["key"] for item in http.get(path, params={"order": "asc"}).json()["items"]]


@pytest.mark.parametrize("tenant", ["demo", "new-tenant"])
def test_a_tenant_starts_with_the_demos_roster_and_its_council_takes_a_turn(local: Stack, tenant: str) -> None:
    with open_client(local.url, local.token(tenant=tenant)) as http:
        assert (keys(http, "agents"), keys(http, "councils")) == (AGENTS, ["panel"])
        session = http.post("sessions", json={"council_key": "panel"}).json()
        assert (session["mode"], session["agent_keys"], session["chair_key"]) == ("council", AGENTS[:3], "writer")
        turn = http.post(f"sessions/{session['id']}/turns", json={"message": "hello"}).json()
        assert (turn["status"], [reply["agent_key"] for reply in turn["replies"]]) == (
            "completed",
            [*AGENTS[:3], "writer"],
        )
        assert http.delete("agents/planner").status_code == 204
        assert keys(http, "agents") == AGENTS[:3]


def test_the_demos_session_has_the_agents_of_the_roster(local: Stack) -> None:
    with open_client(local.url, local.token()) as http:
        session = http.get(f"sessions/{local.session_id}").json()
        assert (session["title"], session["agent_keys"]) == ("Demo", AGENTS)


def test_known_tenant_gets_no_roster(local: Stack) -> None:
    with psycopg.connect(local.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO tenants (tenant_id) VALUES ('old-tenant')")
    with open_client(local.url, local.token(tenant="old-tenant")) as http:
        assert keys(http, "agents") == keys(http, "councils") == []


def test_a_tenant_starts_with_the_roster_that_the_user_names(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    variables = environ(tmp_path / "data", llm_provider="scripted", roster=tmp_path / "mine.toml")
    with Stack.start(variables) as stack:
        for tenant in ("demo", "new-tenant"):
            with open_client(stack.url, stack.token(tenant=tenant)) as http:
                assert keys(http, "agents") == ["mine"]
        with open_client(stack.url, stack.token()) as http:
            answer = http.post(f"sessions/{stack.session_id}/turns", json={"message": "hello"})
            assert (answer.status_code, answer.json()["replies"][0]["name"]) == (201, "Mine")


def test_nothing_starts_if_the_roster_has_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINE.replace("fast", "huge"))
    with pytest.raises(ConfigurationError) as refused:
        Stack.start(environ(tmp_path / "data", llm_provider="scripted", roster=file))
    assert refused.value.detail == f"{file}: [agents.mine] model_alias: must be one of: fast, deep."
    assert not (tmp_path / "data").exists()
    with pytest.raises(ConfigurationError, match=r"^PANTHEON_ROSTER: /.*none\.toml: No such file"):
        Stack.start(environ(tmp_path / "data", llm_provider="scripted", roster=tmp_path / "none.toml"))
