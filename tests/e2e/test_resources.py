"""Tests agents and sessions over HTTP, the pages of their lists, and the operations that need neither."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.stack.tenant import Tenant, agent, open_client

MOST_PAGES = 20


def pages(tenant: Tenant, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
    """The items of each page of a list, by its cursors."""
    cursor = None
    for _ in range(MOST_PAGES):
        page = tenant.http.get(path, params=query | ({"cursor": cursor} if cursor else {})).json()
        assert list(page) == ["items", "next_cursor"]
        yield page["items"]
        if (cursor := page["next_cursor"]) is None:
            return
    raise AssertionError("the cursors lead round in a circle")


class TestAgents:
    def test_an_agent_is_made_read_replaced_and_deleted(self, tenant: Tenant) -> None:
        body = agent("writer", max_output_tokens=64, temperature=None, enabled=False)
        made = tenant.http.post("agents", json=body)
        assert (made.status_code, made.json()) == (201, {**body, "version": 1})
        assert tenant.http.get("agents/writer").json() == made.json()

        change = {"name": "Author", "role_prompt": "You write.", "model_alias": "deep"}
        replaced = tenant.http.put("agents/writer", json=change)
        defaults = {"max_output_tokens": None, "temperature": None, "enabled": True}
        assert (replaced.status_code, replaced.json()) == (200, {"key": "writer", **change, **defaults, "version": 2})
        assert tenant.http.get("agents/writer").json() == replaced.json()

        deleted = tenant.http.delete("agents/writer")
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert tenant.http.get("agents/writer").status_code == 404
        assert tenant.http.delete("agents/writer").status_code == 404
        assert tenant.http.get("agents").json()["items"] == []

    def test_a_put_makes_an_agent_and_a_version_when_something_changes(self, tenant: Tenant) -> None:
        body = {"name": "Author", "role_prompt": "You write.", "model_alias": "deep"}
        answers = [tenant.http.put("agents/writer", json=body | {"name": name}) for name in ("A", "A", "B")]
        assert [answer.status_code for answer in answers] == [201, 200, 200]
        assert [answer.headers["etag"] for answer in answers] == ['"1"', '"1"', '"2"']
        late = tenant.http.put("agents/writer", json=body, headers={"If-Match": '"1"'})
        assert (late.status_code, late.json()["code"]) == (412, "version_mismatch")
        shown = tenant.http.get("agents/writer/versions").json()["items"]
        assert [(item["version"], item["name"]) for item in shown] == [(2, "B"), (1, "A")]

    def test_a_member_reads_agents_and_writes_none(self, stack: Stack, tenant: Tenant) -> None:
        tenant.make_agents("writer")
        with open_client(stack.url, stack.token(tenant=tenant.id, roles=("member",))) as member:
            assert member.get("agents/writer").json() == tenant.http.get("agents/writer").json()
            for refused in (
                member.post("agents", json=agent("critic")),
                member.put("agents/writer", json={"nonsense": 1}),
                member.delete("agents/writer"),
            ):
                assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")

    def test_agent_with_a_used_key_is_409(self, tenant: Tenant) -> None:
        tenant.make_agents("writer")
        again = tenant.http.post("agents", json=agent("writer", name="Another"))
        assert (again.status_code, again.json()["code"]) == (409, "agent_exists")
        assert tenant.http.get("agents/writer").json()["name"] == "Writer"

    def test_the_key_of_a_deleted_agent_can_be_used_again_and_its_versions_go_on(self, tenant: Tenant) -> None:
        tenant.make_agents("writer")
        tenant.http.delete("agents/writer")
        assert tenant.http.post("agents", json=agent("writer")).json()["version"] == 2

    def test_rosters_keep_the_key_of_a_deleted_agent(self, tenant: Tenant, session_id: str) -> None:
        tenant.http.delete("agents/researcher")
        assert tenant.http.get(f"sessions/{session_id}").json()["agent_keys"] == ["writer", "researcher", "critic"]
        turn = tenant.take(session_id, "@researcher @critic hello")
        assert (turn["plan"]["selected_agent_keys"], turn["plan"]["unknown_tags"]) == (["critic"], ["researcher"])

    def test_an_agent_with_an_alias_that_is_not_there_is_refused(self, tenant: Tenant) -> None:
        refused = tenant.http.post("agents", json=agent("writer", model_alias="huge"))
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


class TestSessions:
    def test_a_session_is_made_read_changed_and_deleted(self, tenant: Tenant) -> None:
        tenant.make_agents("writer", "critic")
        made = tenant.http.post("sessions", json={"title": "Plans", "mode": "tag", "agent_keys": ["critic", "writer"]})
        assert made.status_code == 201
        session = made.json()
        expected = {"title": "Plans", "mode": "tag", "agent_keys": ["critic", "writer"], "fan_out": "sequential"}
        assert {name: session[name] for name in expected} == expected
        assert tenant.http.get(f"sessions/{session['id']}").json() == session

        changed = tenant.http.patch(f"sessions/{session['id']}", json={"mode": "roundtable"})
        assert changed.status_code == 200
        unlike = {name for name, value in changed.json().items() if session[name] != value}
        assert unlike == {"mode", "updated_at"}
        assert tenant.http.get(f"sessions/{session['id']}").json() == changed.json()

        assert tenant.http.delete(f"sessions/{session['id']}").status_code == 204
        assert tenant.http.get(f"sessions/{session['id']}").status_code == 404
        assert tenant.http.get("sessions").json()["items"] == []

    def test_a_roster_is_of_known_agents_which_may_be_disabled(self, tenant: Tenant) -> None:
        tenant.make_agents("writer", enabled=False)
        unknown = tenant.http.post("sessions", json={"agent_keys": ["writer", "stranger"]})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_agent")
        session_id = tenant.make_session("writer")
        unknown = tenant.http.patch(f"sessions/{session_id}", json={"agent_keys": ["stranger"]})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_agent")

    def test_a_changed_roster_is_that_of_the_next_turn(self, tenant: Tenant, session_id: str) -> None:
        tenant.http.patch(f"sessions/{session_id}", json={"agent_keys": ["critic"], "mode": "roundtable"})
        assert [reply["name"] for reply in tenant.take(session_id, "hello")["replies"]] == ["Critic"]


class TestForeignTenant:
    def test_objects_of_another_tenant_are_not_found(self, stack: Stack, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "hello")
        with open_client(stack.url, stack.token(tenant=f"not-{tenant.id}")) as stranger:
            for path in ("agents/writer", f"sessions/{session_id}", f"sessions/{session_id}/turns"):
                assert stranger.get(path).status_code == 404
            assert stranger.get(f"turns/{turn['id']}").status_code == 404
            assert stranger.post(f"turns/{turn['id']}/cancel").status_code == 404
            assert stranger.post(f"sessions/{session_id}/turns", json={"message": "hello"}).status_code == 404
            assert stranger.delete(f"sessions/{session_id}").status_code == 404
            assert stranger.get("agents").json()["items"] == stranger.get("sessions").json()["items"] == []
        assert tenant.http.get(f"turns/{turn['id']}").json() == turn


class TestLists:
    @pytest.fixture
    def lists(self, tenant: Tenant, session_id: str) -> dict[str, list[Any]]:
        """The path of each list with pages, and the ids of its five items, oldest first."""
        tenant.make_agents("planner", "editor")
        sessions = [session_id, *(tenant.make_session("writer") for _ in range(4))]
        turns = [tenant.take(session_id, "hello")["id"] for _ in range(5)]
        return {
            "agents": ["writer", "researcher", "critic", "planner", "editor"],
            "sessions": sessions,
            f"sessions/{session_id}/turns": turns,
        }

    @pytest.mark.parametrize(
        ("query", "newest_first"), [({}, True), ({"order": "desc"}, True), ({"order": "asc"}, False)]
    )
    def test_pages_show_every_item_once_and_in_order(
        self, tenant: Tenant, lists: dict[str, list[Any]], query: dict[str, str], newest_first: bool
    ) -> None:
        for path, oldest_first in lists.items():
            for limit in (1, 2, 5):
                found = list(pages(tenant, path, limit=limit, **query))
                assert [len(page) for page in found] == [limit] * (5 // limit) + [1] * (5 % limit)
                items = [item.get("key") or item["id"] for page in found for item in page]
                assert items == (oldest_first[::-1] if newest_first else oldest_first)

    def test_item_made_between_two_pages_moves_no_other_item(self, tenant: Tenant, lists: dict[str, list[Any]]) -> None:
        turning = pages(tenant, "sessions", limit=2)
        shown = next(turning)
        tenant.make_session("writer")
        shown += [item for page in turning for item in page]
        assert [item["id"] for item in shown] == lists["sessions"][::-1]

    def test_page_has_twenty_items_by_default(self, tenant: Tenant) -> None:
        tenant.make_agents(*(f"agent-{number}" for number in range(21)))
        assert [len(page) for page in pages(tenant, "agents")] == [20, 1]
        assert [len(page) for page in pages(tenant, "agents", limit=100)] == [21]


class TestWithoutEither:
    def test_the_models_are_those_of_the_catalog(self, tenant: Tenant) -> None:
        page = tenant.http.get("models").json()
        assert page["next_cursor"] is None
        fast, deep = page["items"]
        assert (fast["alias"], deep["alias"], deep["fallback_alias"]) == ("fast", "deep", "fast")
        assert fast["provider"] == "openai"
        assert set(fast["rates"]) == {"input", "output", "cache_read", "cache_write", "reasoning"}
        assert float(fast["rates"]["input"]) > 0

    def test_me_shows_the_tokens_user(self, tenant: Tenant) -> None:
        me = tenant.http.get("auth/me").json()
        assert me == {"user_id": "demo", "tenant_id": tenant.id, "email": None, "roles": ["member", "admin"]}

    def test_health_needs_no_token_and_names_its_checks(self, stack: Stack) -> None:
        answer = httpx.get(f"{stack.url}/api/v1/health")
        health = answer.json()
        assert (answer.status_code, health["status"], health["stage"]) == (200, "ok", "local")
        assert set(health["checks"]) == {"database", "migration", "journal"}

    def test_the_contract_is_at_both_addresses_without_a_token(self, stack: Stack) -> None:
        first, second = (httpx.get(f"{stack.url}{prefix}/openapi.json") for prefix in ("", "/api/v1"))
        assert first.status_code == second.status_code == 200
        assert first.content == second.content
        assert first.json()["openapi"].startswith("3.1")

    @pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/agents/", "/api/v1/agents/writer/versions/x"])
    def test_an_unknown_route_is_a_problem(self, stack: Stack, tenant: Tenant, path: str) -> None:
        answer = tenant.http.get(f"{stack.url}{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_found"

    def test_an_unknown_method_is_a_problem(self, tenant: Tenant) -> None:
        answer = tenant.http.put("sessions", json={})
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["content-type"] == "application/problem+json"
