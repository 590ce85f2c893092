"""Tests sessions over HTTP that are made from a council or name a chair of their own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from functions.api import export, sessions
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.agents import record_agent_deletion
from shared.db.api.councils import record_council, record_council_change, record_council_deletion
from shared.names import API_PREFIX
from tests.support.council_room import CouncilRoom
from tests.support.gateway import body_of, problem_of, request

OWNER = Caller("user-1", "tenant-1", None, ("member",))
COLLEAGUE = replace(OWNER, user_id="user-2")
STRANGER = replace(OWNER, tenant_id="tenant-2")
COUNCIL: dict[str, object] = {
    **{"name": "Panel", "mode": "council", "agent_keys": ["writer", "critic"]},
    **{"fan_out": "parallel", "chair_key": "critic"},
}
OF_THE_COUNCIL = {name: COUNCIL[name] for name in ("mode", "agent_keys", "fan_out", "chair_key")}

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(room: CouncilRoom, scripted_settings: None, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Sends a request of the owner of the sessions, or of another caller. The tenant has the council `panel`."""
    app = create_app("Pantheon")
    for noun in (sessions, export):
        monkeypatch.setattr(noun, "database", lambda: room.db)
        app.include_router(noun.router)
    handler = lambda_handler(app)
    record_council(room.db, room.tenant_id, "panel", COUNCIL)

    def asked(method: str, path: str, body: object = None, *, who: Caller = OWNER, query: str = "") -> dict[str, Any]:
        app.dependency_overrides[caller] = lambda: who
        event = request(method, f"{API_PREFIX}/sessions{path}", body, query)
        return handler(event, LambdaContext("api", "invocation", 1e12))

    return asked


def make(ask: Ask, **body: object) -> dict[str, Any]:
    made = ask("POST", "", body)
    assert made["statusCode"] == 201, made["body"]
    return body_of(made)


class TestFromACouncil:
    def test_a_session_has_the_fields_of_its_council(self, ask: Ask) -> None:
        made = make(ask, council_key="panel", title="Plans", visibility="tenant")
        assert made.items() >= (OF_THE_COUNCIL | {"title": "Plans", "visibility": "tenant"}).items()
        assert body_of(ask("GET", f"/{made['id']}")) == made
        assert "council_key" not in made

    def test_a_session_stays_when_its_council_changes_or_is_deleted(self, room: CouncilRoom, ask: Ask) -> None:
        made = make(ask, council_key="panel")
        record_council_change(room.db, room.tenant_id, "panel", COUNCIL | {"mode": "tag", "chair_key": None})
        assert body_of(ask("GET", f"/{made['id']}")) == made
        record_council_deletion(room.db, room.tenant_id, "panel")
        assert body_of(ask("GET", f"/{made['id']}")) == made
        problem_of(ask("POST", "", {"council_key": "panel"}), 422, "unknown_council")

    def test_a_council_is_unknown_when_the_tenant_has_none_with_this_key(self, room: CouncilRoom, ask: Ask) -> None:
        before = room.rows("SELECT id FROM sessions")
        for key, who in (("nobodys", OWNER), ("writer", OWNER), ("panel", STRANGER)):
            refused = problem_of(ask("POST", "", {"council_key": key}, who=who), 422, "unknown_council")
            assert refused["detail"] == f"There is no council '{key}'."
        assert room.rows("SELECT id FROM sessions") == before

    @pytest.mark.parametrize(
        "field",
        [{"mode": "council"}, {"agent_keys": ["writer", "critic"]}, {"fan_out": "parallel"}, {"chair_key": "critic"}],
        ids=repr,
    )
    def test_a_roster_is_refused_when_a_council_is_named(self, ask: Ask, field: dict[str, object]) -> None:
        problem = problem_of(ask("POST", "", {"council_key": "panel"} | field), 422, "invalid_request")
        assert f"body.{next(iter(field))}: Input should not be given with council_key" in problem["detail"]

    def test_a_null_is_the_same_as_a_field_that_is_not_given(self, ask: Ask) -> None:
        assert make(ask, council_key="panel", agent_keys=None, chair_key=None)["chair_key"] == "critic"
        assert make(ask, council_key=None, agent_keys=["writer"])["mode"] == "manual"
        for body in ({}, {"council_key": None}, {"agent_keys": None}, {"mode": "council", "chair_key": None}):
            assert (
                "body.agent_keys: Field required" in problem_of(ask("POST", "", body), 422, "invalid_request")["detail"]
            )

    def test_a_council_makes_sessions_when_one_of_its_agents_was_deleted(self, room: CouncilRoom, ask: Ask) -> None:
        record_agent_deletion(room.db, room.tenant_id, "writer")
        assert make(ask, council_key="panel")["agent_keys"] == ["writer", "critic"]


class TestChairs:
    def test_a_session_has_a_chair_of_its_own_or_none(self, ask: Ask) -> None:
        made = make(ask, mode="council", agent_keys=["writer", "critic"], chair_key="critic")
        assert (made["chair_key"], make(ask, agent_keys=["writer"])["chair_key"]) == ("critic", None)
        listed = body_of(ask("GET", ""))["items"]
        assert {item["id"]: item["chair_key"] for item in listed}[made["id"]] == "critic"

    def test_a_chair_is_refused_when_it_is_not_in_the_roster(self, ask: Ask) -> None:
        refused = ask("POST", "", {"agent_keys": ["writer"], "chair_key": "critic"})
        assert "body.chair_key" in problem_of(refused, 422, "invalid_request")["detail"]

    def test_a_chair_changes_is_cleared_and_stays_when_it_is_not_given(self, ask: Ask) -> None:
        path = f"/{make(ask, council_key='panel')['id']}"
        assert body_of(ask("PATCH", path, {"title": "New"}))["chair_key"] == "critic"
        assert body_of(ask("PATCH", path, {"agent_keys": ["critic"], "mode": None}))["chair_key"] == "critic"
        assert body_of(ask("PATCH", path, {"chair_key": None}))["chair_key"] is None
        both = body_of(ask("PATCH", path, {"agent_keys": ["researcher"], "chair_key": "researcher"}))
        assert (both["agent_keys"], both["chair_key"], both["mode"]) == (["researcher"], "researcher", "council")
        cleared = body_of(ask("PATCH", path, {"agent_keys": ["writer"], "chair_key": None}))
        assert (cleared["agent_keys"], cleared["chair_key"]) == (["writer"], None)

    @pytest.mark.parametrize("change", [{"chair_key": "researcher"}, {"agent_keys": ["writer"]}], ids=repr)
    def test_a_change_is_refused_when_the_chair_would_not_be_in_the_roster(
        self, ask: Ask, change: dict[str, object]
    ) -> None:
        made = make(ask, council_key="panel", visibility="tenant")
        path = f"/{made['id']}"
        problem = problem_of(ask("PATCH", path, change | {"title": "New"}), 422, "invalid_request")
        assert "chair_key" in problem["detail"]
        assert body_of(ask("GET", path)) == made
        problem_of(ask("PATCH", path, change, who=COLLEAGUE), 403, "forbidden")
        problem_of(ask("PATCH", path, change, who=STRANGER), 404, "not_found")

    def test_a_title_changes_when_an_earlier_release_left_a_chair_outside_the_roster(
        self, room: CouncilRoom, ask: Ask
    ) -> None:
        path = f"/{make(ask, council_key='panel')['id']}"
        room.owner.execute("UPDATE sessions SET agent_keys = '{writer}' WHERE chair_key = 'critic'")
        assert body_of(ask("PATCH", path, {"title": "New"}))["title"] == "New"
        problem_of(ask("PATCH", path, {"agent_keys": ["writer"]}), 422, "invalid_request")

    def test_an_export_shows_the_chair(self, ask: Ask) -> None:
        made = make(ask, council_key="panel")
        assert body_of(ask("GET", f"/{made['id']}/export"))["session"] == made
        text = ask("GET", f"/{made['id']}/export", query="format=markdown")["body"]
        assert "- Mode: council, parallel\n- Chair: critic\n" in text

    def test_the_chair_of_the_session_concludes_its_turns(self, room: CouncilRoom, ask: Ask) -> None:
        session_id = make(ask, mode="council", agent_keys=["writer", "critic"], chair_key="critic")["id"]
        room.take("hello", session_id=session_id)
        assert room.row("SELECT chair_key FROM turns")["chair_key"] == "critic"
        agents = [row["agent_key"] for row in room.rows("SELECT agent_key FROM replies ORDER BY position")]
        assert agents == ["writer", "critic", "critic"]
