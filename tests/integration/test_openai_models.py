"""Tests GET /v1/models: the models for chat programs, in one query."""

from typing import Any

import pytest

from functions.api import openai_models
from local.gateway.worker import LambdaContext
from shared.db.api.agents import record_agent_deletion
from shared.db.engine import Database, Params, Statement
from tests.support.council_room import CouncilRoom
from tests.support.gateway import body_of, request
from tests.unit.conftest import context as context  # noqa: PLC0414 a fixture


@pytest.fixture
def models(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, context: LambdaContext, logging_as_it_was: None) -> Any:
    """Asks the API function's real handler for the models."""
    # It is imported here, because the import of a handler changes the process's event loop.
    from functions.api.handler import handler

    monkeypatch.setattr(openai_models, "database", lambda: room.db)

    def ask() -> dict[str, Any]:
        asked = request("GET", "/v1/models")
        asked["requestContext"]["authorizer"] |= {"user": "user-1", "tenant": room.tenant_id}
        return body_of(handler(asked, context))

    return ask


def make_council(room: CouncilRoom, key: str, name: str) -> None:
    room.owner.execute(
        """INSERT INTO councils (tenant_id, key, name, mode, agent_keys, fan_out, version)
        VALUES (%s, %s, %s, 'council', '{writer,critic}', 'parallel', 1)""",
        (room.tenant_id, key, name),
    )


def test_models_are_agents_and_councils_by_key_and_then_the_aliases(room: CouncilRoom, models: Any) -> None:
    make_council(room, "panel", "Panel")
    make_council(room, "gone", "Gone")
    room.owner.execute("UPDATE councils SET deleted_at = now() WHERE key = 'gone'")
    room.change_agent("researcher", enabled=False)
    record_agent_deletion(room.db, room.tenant_id, "critic")
    listed = models()
    assert listed["object"] == "list"
    assert [(model["id"], model["name"]) for model in listed["data"]] == [
        ("panel", "Panel"),
        ("writer", "Writer"),
        ("alias/fast", "fast"),
        ("alias/deep", "deep"),
    ]
    assert {(model["object"], model["owned_by"]) for model in listed["data"]} == {("model", "pantheon")}
    made = room.row("SELECT floor(extract(epoch FROM created_at))::integer AS made FROM agents WHERE key = 'writer'")
    assert [model["created"] for model in listed["data"]][1:] == [made["made"], 0, 0]


def test_models_are_the_tenants_own_and_come_in_one_query(
    room: CouncilRoom, models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.owner.execute("UPDATE agents SET tenant_id = 'tenant-2' WHERE key = 'writer'")
    trips, run_all = list[object](), Database.run_all

    def counted(self: Database, tenant_id: str | None, *work: tuple[Statement, Params], **rest: Any) -> Any:
        trips.extend(work)
        return run_all(self, tenant_id, *work, **rest)

    monkeypatch.setattr(Database, "run_all", counted)
    assert "writer" not in [model["id"] for model in models()["data"]]
    assert len(trips) == 1
