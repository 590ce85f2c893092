"""Tests POST /mcp on the whole local stack: lists, questions, progress, refusals and turns that are handed over."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.chat_client import make_council
from tests.support.stack.mcp_client import BOTH, address, ask, asking, message, messages, post, said
from tests.support.stack.operations import OTHER_OPERATIONS
from tests.support.stack.tenant import Tenant, open_client


def test_every_other_operation_is_known() -> None:
    assert OTHER_OPERATIONS == ["POST /mcp"]


def test_listed_are_enabled_agents_and_councils(tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    tenant.make_agents("silent", enabled=False)
    make_council(tenant, "board", "tag", "writer", "critic")
    (answer,) = messages(post(tenant, message("tools/call", name="list_councils")))
    assert answer["result"]["structuredContent"]["councils"] == [
        {"key": "board", "name": "Board", "kind": "council", "mode": "tag"},
        {"key": "critic", "name": "Critic", "kind": "agent", "mode": None},
        {"key": "writer", "name": "Writer", "kind": "agent", "mode": None},
    ]


def test_agent_answers_with_its_turn(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    result = ask(tenant)
    turn = tenant.http.get(f"turns/{result['structuredContent']['id']}").json()
    assert (said(result), result["isError"]) == ("You said: hello", False)
    assert result["structuredContent"] == turn
    session = tenant.http.get(f"sessions/{turn['session_id']}").json()
    assert (session["origin"], session["model"], session["visibility"]) == ("chat", "writer", "private")


def test_council_answers_by_the_names_of_its_agents(tenant: Tenant) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "board", "tag", "writer", "critic")
    result = ask(tenant, council_or_agent="board", message="@writer @critic hello")
    assert said(result).startswith("**Writer:** You said: ")
    assert "\n\n**Critic:** " in said(result)


def test_session_goes_on_by_its_id(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first = ask(tenant, message="one")["structuredContent"]
    second = ask(tenant, message="two", session_id=first["session_id"])["structuredContent"]
    assert (second["session_id"], second["turn_index"]) == (first["session_id"], 2)
    assert [each["content"] for each in tenant.requests[1].messages[1:]] == ["one", "You said: one", "two"]


def test_every_question_without_a_session_begins_one(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first, second = (ask(tenant)["structuredContent"]["session_id"] for _ in range(2))
    assert first != second


def test_session_of_another_user_is_not_found(tenant: Tenant, stack: Stack) -> None:
    tenant.make_agents("writer")
    session_id = ask(tenant)["structuredContent"]["session_id"]
    with open_client(stack.url, stack.token(tenant=tenant.id, user="other", roles=("member",))) as http:
        sent = asking(session_id=session_id)
        result = http.post(address(tenant), json=sent, headers={"Accept": BOTH}).json()["result"]
    assert (said(result), result["isError"]) == ("not_found: There is no such session.", True)
    assert len(tenant.requests) == 1


@pytest.mark.parametrize("key", ["nobody", "alias/fast", "silent"])
def test_key_that_is_not_listed_is_refused_without_a_session(tenant: Tenant, key: str) -> None:
    tenant.make_agents("silent", enabled=False)
    result = ask(tenant, council_or_agent=key)
    assert (result["isError"], result["_meta"]["pantheon/problem"]["code"]) == (True, "unknown_model")
    assert tenant.rows("SELECT id FROM sessions WHERE tenant_id = %s", tenant.id) == []


def test_budget_that_is_used_up_is_an_error_without_a_call(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    assert tenant.http.put("budget", json={"limit_usd": "0"}).status_code == 200
    result = ask(tenant)
    assert result["_meta"]["pantheon/problem"]["status"] == 402
    assert said(result).startswith("budget_exceeded: ")
    assert tenant.requests == []
    assert tenant.rows("SELECT id FROM sessions WHERE tenant_id = %s", tenant.id) == []


def test_key_asks_and_pays_once(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first, again = (ask(tenant, idempotency_key="k") for _ in range(2))
    assert first == again
    other = ask(tenant, idempotency_key="k", message="another question")
    assert other["_meta"]["pantheon/problem"]["code"] == "idempotency_key_reused"
    assert len(tenant.requests) == 1
    row = tenant.row(
        "SELECT count(*) AS posts, sum(amount_usd) AS usd FROM usage_ledger WHERE tenant_id = %s", tenant.id
    )
    assert (row["posts"], row["usd"]) == (1, Decimal(first["structuredContent"]["cost_usd"]))


def test_same_question_at_the_same_time_is_one_turn(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.hold())
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, tenant)
        tenant.wait_for_requests(1)
        second = ask(tenant)
        provider.release()
        assert second["_meta"]["pantheon/problem"]["code"] == "turn_conflict"
        assert said(first.result()) == "You said: hello"
    assert len(tenant.requests) == 1


@pytest.mark.parametrize("in_session", [False, True])
def test_key_whose_turn_runs_waits_for_it(tenant: Tenant, provider: FakeProvider, in_session: bool) -> None:
    tenant.make_agents("writer")
    where = {"session_id": ask(tenant)["structuredContent"]["session_id"]} if in_session else {}
    provider.add(moods.hold())
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, tenant, idempotency_key="k", **where)
        tenant.wait_for_requests(2 if in_session else 1)
        second = threads.submit(ask, tenant, idempotency_key="k", **where)
        # It has a slot for waits.
        eventually(lambda: tenant.rows("SELECT FROM waits WHERE tenant_id = %s", tenant.id))
        provider.release()
        assert first.result() == second.result()
    assert len(tenant.requests) == (2 if in_session else 1)


def test_progress_is_told_while_agents_answer(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "board", "tag", "writer", "critic")
    provider.add(moods.slow(1))
    sent = asking(token="t", council_or_agent="board", message="@writer @critic hello")
    *notes, answer = messages(post(tenant, sent))
    told = [note["params"]["message"] for note in notes]
    assert "Writer answers. 0 of 2 replies are ready." in told
    assert "Critic answers. 1 of 2 replies are ready." in told
    assert {note["params"]["progressToken"] for note in notes} == {"t"}
    values = [note["params"]["progress"] for note in notes]
    assert values == sorted(set(values))
    assert answer["result"]["isError"] is False


def test_turn_that_goes_on_elsewhere_is_told_by_its_id_and_its_key_gets_the_answer(
    tenant: Tenant, provider: FakeProvider
) -> None:
    """The provider asks for a pause that exceeds this process's time."""
    tenant.make_agents("writer")
    provider.add(moods.status(429, retry_after=9))
    result = ask(tenant)
    turn, key = result["structuredContent"], result["_meta"]["pantheon/idempotency_key"]
    assert (turn["status"], result["isError"]) == ("accepted", False)
    assert turn["id"] in said(result)
    assert key in said(result)
    again = ask(tenant, idempotency_key=key)
    assert (again["structuredContent"]["id"], said(again)) == (turn["id"], "You said: hello")
    assert len(tenant.rows("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)) == 1


def test_failed_turn_is_an_error_with_its_code(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.status(400), times=None)
    result = ask(tenant)
    assert (result["isError"], result["structuredContent"]["status"]) == (True, "failed")
    assert said(result).startswith("no_reply: ")


def test_cancelled_notification_is_taken_and_changes_nothing(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.hold())
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(ask, tenant)
        tenant.wait_for_requests(1)
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert post(tenant, note).status_code == 202
        provider.release()
        assert said(asked.result()) == "You said: hello"


def test_batch_asks_one_question_after_the_other(tenant: Tenant) -> None:
    tenant.make_agents("writer")
    first, second = messages(post(tenant, [asking(id_=1, message="one"), asking(id_=2, message="two")]))
    assert [(each["id"], said(each["result"])) for each in (first, second)] == [
        (1, "You said: one"),
        (2, "You said: two"),
    ]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_get_and_delete_are_405_without_streams_and_sessions(tenant: Tenant, method: str) -> None:
    answer = tenant.http.request(method, address(tenant), headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_request_without_a_token_is_refused(tenant: Tenant) -> None:
    answer = httpx.post(address(tenant), json=message("ping"), headers={"Accept": BOTH})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173"])
def test_page_of_this_machine_may_speak(tenant: Tenant, origin: str) -> None:
    answer = post(tenant, message("ping"), Origin=origin)
    assert (answer.json()["result"], answer.headers["access-control-allow-origin"]) == ({}, origin)
    assert post(tenant, message("ping"), Origin="https://evil.example").status_code == 403
