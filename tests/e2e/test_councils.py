"""Tests councils over HTTP: admins write them, and sessions are made from them."""

import httpx
import pytest

from local.stack import Stack
from tests.support.stack.tenant import Tenant, agent, open_client

BODY = {"name": "Panel", "mode": "council", "agent_keys": ["writer", "researcher", "critic"], "chair_key": "critic"}
KEYS = ("writer", "researcher", "critic")


@pytest.fixture
def panel(tenant: Tenant) -> httpx.Response:
    """The new council `panel` of three agents."""
    tenant.make_agents(*KEYS)
    return tenant.http.put("councils/panel", json=BODY)


def test_a_session_of_a_council_takes_a_turn_of_the_council(tenant: Tenant, panel: httpx.Response) -> None:
    assert (panel.status_code, panel.headers["ETag"]) == (201, '"1"')
    assert panel.json() == {"key": "panel", **BODY, "fan_out": "sequential", "version": 1}
    session = tenant.http.post("sessions", json={"council_key": "panel"}).json()
    assert (session["mode"], session["agent_keys"], session["chair_key"]) == ("council", list(KEYS), "critic")
    turn = tenant.take(session["id"], "hello")
    assert (turn["status"], turn["mode"], turn["plan"]["source"]) == ("completed", "council", "roster")
    assert turn["plan"]["selected_agent_keys"] == [*KEYS, "critic"]
    assert turn["output"] == turn["replies"][-1]["text"]
    purposes = [call["purpose"] for call in tenant.calls(turn["id"])]
    assert (purposes.count("agent"), purposes.count("review")) == (4, 3)
    assert tenant.http.delete("councils/panel").status_code == 204
    assert tenant.http.get(f"sessions/{session['id']}").json()["mode"] == "council"
    refused = tenant.http.post("sessions", json={"council_key": "panel"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_council")


def test_a_council_at_another_version_is_412(tenant: Tenant, panel: httpx.Response) -> None:
    changed = tenant.http.put("councils/panel", json=BODY | {"mode": "tag"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"], changed.json()["version"]) == (200, '"2"', 2)
    refused = tenant.http.put("councils/panel", json=BODY, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["code"]) == (412, "version_mismatch")
    assert tenant.http.get("councils/panel").json() == changed.json()


def test_agents_and_councils_never_have_the_same_key(tenant: Tenant, panel: httpx.Response) -> None:
    codes = [
        (answer.status_code, answer.json()["code"])
        for answer in (
            tenant.http.post("councils", json={"key": "panel", **BODY}),
            tenant.http.post("councils", json={"key": "writer", **BODY}),
            tenant.http.put("councils/writer", json=BODY),
            tenant.http.post("agents", json=agent("panel")),
            tenant.http.post("agents", json=agent("writer")),
        )
    ]
    assert codes == [(409, "key_exists")] * 4 + [(409, "agent_exists")]


def test_a_member_reads_councils_and_writes_none(stack: Stack, tenant: Tenant, panel: httpx.Response) -> None:
    with open_client(stack.url, stack.token(tenant=tenant.id, roles=("member",))) as member:
        assert member.get("councils").json() == {"items": [panel.json()], "next_cursor": None}
        assert member.get("councils/panel").headers["ETag"] == '"1"'
        for refused in (
            member.post("councils", json={"key": "board", **BODY}),
            member.put("councils/panel", json={"nonsense": 1}),
            member.delete("councils/panel"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert member.post("sessions", json={"council_key": "panel"}).status_code == 201
