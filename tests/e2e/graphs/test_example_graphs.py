"""Tests the example graphs over HTTP: their requests, their order, their cost and the state of a session."""

import json
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.event_stream import read_events
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider import Row as Request
from tests.support.stack.tenant import Tenant

AGENTS = ("researcher", "critic", "writer")


@pytest.fixture
def pages() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that were fetched from it."""
    fetched: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"The tower is 324 metres high.")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
        server.shutdown()
        thread.join()


def session_of(tenant: Tenant, graph: str) -> str:
    tenant.make_agents(*AGENTS)
    return tenant.make_session(*AGENTS, mode=f"graph:{graph}")


def take(tenant: Tenant, session_id: str, message: str) -> dict[str, Any]:
    """The turn, once the function for graphs has ended it."""
    posted = tenant.post(session_id, message)
    assert (posted.status_code, posted.json()["status"]) == (202, "accepted"), posted.text
    return tenant.wait_for(posted.json()["id"])


def keys_of(turn: dict[str, Any]) -> list[str]:
    return [reply["agent_key"] for reply in turn["replies"]]


def prompt(request: Request) -> str:
    return "\n".join(str(message["content"]) for message in request.messages)


def assert_every_request_is_paid_once(tenant: Tenant, turn: dict[str, Any]) -> None:
    """Compare the ledger with the provider's own log, call by call."""
    calls = tenant.calls(turn["id"])
    logged = {request.client_request_id: request for request in tenant.requests}
    assert {str(call["call_id"]) for call in calls} <= set(logged)
    for call in calls:
        charged = logged[str(call["call_id"])].charged
        assert charged is not None
        posted = (call["posted_input"], call["posted_output"])
        assert posted == (charged["input_tokens"], charged["output_tokens"])
        assert call["account"] == "tenant"
    assert sum((call["amount_usd"] for call in calls), Decimal(0)) == Decimal(turn["cost_usd"])
    assert [call["purpose"] for call in calls] == ["agent"] * len(calls)


class TestTools:
    def test_tools_run_and_each_model_call_is_journaled_and_paid(
        self, tenant: Tenant, provider: FakeProvider, pages: tuple[str, list[str]]
    ) -> None:
        url, fetched = pages
        for text in (
            json.dumps({"tool": "fetch", "url": f"{url}/tower"}),
            json.dumps({"tool": "calculate", "expression": "324 * 3"}),
            "Three towers are 972 metres high.",
        ):
            provider.add(moods.ok(text), when="You are Researcher,")
        turn = take(tenant, session_of(tenant, "tools"), "How high are three towers?")
        assert (turn["status"], turn["mode"]) == ("completed", "graph:tools")
        assert turn["output"] == "Three towers are 972 metres high."
        assert keys_of(turn) == turn["plan"]["selected_agent_keys"] == ["researcher"] * 3
        assert fetched == ["/tower"]
        _, second, third = tenant.requests
        assert "The tool fetch says: The tower is 324 metres high." in prompt(second)
        assert "The tool calculate says: 972" in prompt(third)
        assert_every_request_is_paid_once(tenant, turn)

    def test_a_page_of_another_machine_is_not_fetched(self, tenant: Tenant, provider: FakeProvider) -> None:
        wanted = json.dumps({"tool": "fetch", "url": "http://169.254.169.254/latest"})
        provider.add(moods.ok(wanted), when="You are Researcher,")
        take(tenant, session_of(tenant, "tools"), "Fetch it.")
        assert "Only pages of 127.0.0.1 can be fetched." in prompt(tenant.requests[1])

    def test_the_turn_ends_when_the_researcher_only_asks_for_tools(
        self, tenant: Tenant, provider: FakeProvider
    ) -> None:
        wanted = json.dumps({"tool": "calculate", "expression": "1 + 1"})
        provider.add(moods.ok(wanted), when="You are Researcher,", times=None)
        turn = take(tenant, session_of(tenant, "tools"), "Count for ever.")
        assert (turn["status"], len(tenant.requests)) == ("completed", 6)


class TestLoop:
    def test_the_draft_goes_back_to_the_writer_until_the_critic_approves(
        self, tenant: Tenant, provider: FakeProvider
    ) -> None:
        for text in ("Roses.", "Roses are red."):
            provider.add(moods.ok(text), when="You are Writer,")
        for text in ("Of which colour?", "APPROVED"):
            provider.add(moods.ok(text), when="You are Critic,")
        turn = take(tenant, session_of(tenant, "review"), "Write of roses.")
        assert keys_of(turn) == ["writer", "critic", "writer", "critic"]
        # The last reply is the critic's. The graph's last message is the draft.
        assert turn["output"] == "Roses are red."
        assert "The critic says: Of which colour?" in prompt(tenant.requests[2])
        assert_every_request_is_paid_once(tenant, turn)

    def test_the_loop_ends_after_three_drafts(self, tenant: Tenant, provider: FakeProvider) -> None:
        provider.add(moods.ok("No."), when="You are Critic,", times=None)
        turn = take(tenant, session_of(tenant, "review"), "Write of roses.")
        assert (turn["status"], keys_of(turn).count("writer")) == ("completed", 3)


class TestBranches:
    def test_branches_run_one_after_the_other_in_the_order_of_their_names(
        self, tenant: Tenant, provider: FakeProvider
    ) -> None:
        for key in AGENTS:
            provider.add(moods.ok(f"The {key}'s answer."), when=f"You are {key.title()},")
        turn = take(tenant, session_of(tenant, "panel"), "Is it so?")
        assert keys_of(turn) == ["critic", "researcher", "writer"]
        assert turn["output"] == "The writer's answer."
        last = prompt(tenant.requests[-1])
        assert "researcher: The researcher's answer." in last
        assert "critic: The critic's answer." in last
        calls = tenant.http.get(f"turns/{turn['id']}/calls").json()["items"]
        assert all(one["ended_at"] <= other["started_at"] for one, other in pairwise(calls))
        assert len(calls) == 3
        assert_every_request_is_paid_once(tenant, turn)


class TestSession:
    def test_the_second_turn_sees_the_state_of_the_first(self, tenant: Tenant, provider: FakeProvider) -> None:
        session_id = session_of(tenant, "panel")
        provider.add(moods.ok("The first conclusion."), when="You are Writer,")
        take(tenant, session_id, "The first question?")
        asked = len(tenant.requests)
        take(tenant, session_id, "The second question?")
        first_of_second = prompt(tenant.requests[asked])
        for said in ("The first question?", "The first conclusion.", "The second question?"):
            assert said in first_of_second
        kept = tenant.rows("SELECT checkpoint_id FROM checkpoints WHERE thread_id LIKE %s", f"{tenant.id}%")
        assert len(kept) == 1

    def test_deleting_the_session_deletes_the_state(self, tenant: Tenant) -> None:
        session_id = session_of(tenant, "panel")
        take(tenant, session_id, "A secret?")
        assert tenant.http.delete(f"sessions/{session_id}").status_code == 204
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            assert tenant.rows(f"SELECT * FROM {table} WHERE thread_id LIKE %s", f"{tenant.id}%") == []

    def test_a_stream_ends_when_the_turn_is_handed_over(self, tenant: Tenant) -> None:
        session_id = session_of(tenant, "panel")
        body, accept = {"message": "Is it so?"}, {"Accept": "text/event-stream"}
        answer = tenant.http.post(f"sessions/{session_id}/turns", json=body, headers=accept)
        assert answer.status_code == 200
        assert read_events(answer.text).names[-1] == "turn.handed_over"
        tenant.wait_for(read_events(answer.text).events[-1].body["id"])


class TestUnknownName:
    def test_a_session_of_a_graph_that_is_not_configured_is_422_and_names_it(self, tenant: Tenant) -> None:
        tenant.make_agents("writer")
        made = tenant.http.post("sessions", json={"title": "T", "mode": "graph:none", "agent_keys": ["writer"]})
        assert_unknown(made, "none")

    def test_a_turn_of_a_graph_that_is_not_configured_is_422_and_names_it(self, tenant: Tenant) -> None:
        session_id = session_of(tenant, "panel")
        assert_unknown(tenant.post(session_id, "Hello?", mode="graph:none"), "none")
        assert tenant.requests == []

    def test_a_council_of_a_graph_that_is_not_configured_is_422_and_names_it(self, tenant: Tenant) -> None:
        tenant.make_agents("writer")
        body = {"key": "team", "name": "Team", "mode": "graph:none", "agent_keys": ["writer"]}
        assert_unknown(tenant.http.post("councils", json=body), "none")


def assert_unknown(answer: httpx.Response, name: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_graph"), answer.text
    assert f"'{name}'" in answer.json()["detail"]


def test_health_shows_that_the_state_is_stored(stack: Stack) -> None:
    answer = httpx.get(f"{stack.url}/api/v1/health")
    assert (answer.status_code, answer.json()["checks"]["checkpointer"]) == (200, "postgres")


def test_the_log_says_once_that_the_state_is_stored(stack: Stack, tenant: Tenant) -> None:
    session_id = session_of(tenant, "panel")
    for message in ("One?", "Two?"):
        take(tenant, session_id, message)
    lines = [json.loads(line) for line in (stack.log_dir / "graphs.log").read_text().splitlines() if line[0] == "{"]
    # One turn after the other, so that one process runs all of them.
    said = [line["level"] for line in lines if "the state of graphs" in str(line.get("message"))]
    assert said == ["INFO"]
