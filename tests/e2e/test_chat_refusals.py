"""Tests refusals and failures of /v1 over HTTP: OpenAI's form, our codes, and whether an SDK retries."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.chat_client import address, ask, data_of, error_of, post, user
from tests.support.stack.operations import OPENAI_OPERATIONS
from tests.support.stack.tenant import Tenant

HELLO: dict[str, Any] = {"model": "writer", "messages": [user("hello")]}
STREAMS = pytest.mark.parametrize("stream", [False, True])
ROWS = "SELECT (SELECT count(*) FROM sessions WHERE tenant_id = %s AND origin <> 'api') AS sessions, count(*) AS turns"


def rows(tenant: Tenant) -> dict[str, int]:
    """The tenant's number of chat sessions and turns."""
    return tenant.row(f"{ROWS} FROM turns WHERE tenant_id = %s", tenant.id, tenant.id)


def refusal(answer: httpx.Response) -> tuple[int, str, str | None, str | None]:
    """Status, code, field, and whether an SDK is to send the request again."""
    error = error_of(answer)
    assert answer.headers["content-type"] == "application/json"
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"], error["param"], answer.headers.get("x-should-retry")


def test_every_operation_of_openais_is_known() -> None:
    """Each operation is in this file or in test_chat_completions.py."""
    assert OPENAI_OPERATIONS == ["GET /v1/models", "POST /v1/chat/completions"]


@STREAMS
def test_unknown_model_is_404_by_its_field(tenant: Tenant, stream: bool) -> None:
    tenant.make_agents("writer", enabled=False)
    for model in ("writer", "nobody", "alias/nobody", "alias/"):
        answer = post(tenant, {**HELLO, "model": model, "stream": stream})
        assert refusal(answer) == (404, "unknown_model", "model", "false")
    assert rows(tenant) == {"sessions": 0, "turns": 0}


@STREAMS
def test_over_budget_is_402_and_leaves_nothing(tenant: Tenant, stream: bool) -> None:
    tenant.make_agents("writer")
    assert tenant.http.put("budget", json={"limit_usd": "0"}).status_code == 200
    for model in ("writer", "alias/fast"):
        answer = post(tenant, {**HELLO, "model": model, "stream": stream})
        assert refusal(answer) == (402, "budget_exceeded", None, "false")
        assert error_of(answer)["type"] == "insufficient_quota"
    assert rows(tenant) == {"sessions": 0, "turns": 0}
    assert tenant.requests == []


@STREAMS
@pytest.mark.parametrize("headers", [{}, {"X-Conversation-Id": "chat"}])
def test_same_conversation_at_once_is_one_turn_and_one_409(
    tenant: Tenant, provider: FakeProvider, stream: bool, headers: dict[str, str]
) -> None:
    tenant.make_agents("writer")
    provider.add(moods.hold())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, tenant, HELLO, **headers)
        tenant.wait_for_requests(1)
        second = post(tenant, {**HELLO, "stream": stream}, **headers)
        assert refusal(second) == (409, "turn_conflict", None, None)
        assert second.headers["retry-after"] == "1"
        provider.release()
        assert first.result().status_code == 200
    assert rows(tenant) == {"sessions": 1, "turns": 1}
    assert len(tenant.requests) == 1


def test_failed_turn_is_502_with_its_code(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.status(400), times=None)
    answer = post(tenant, HELLO)
    assert refusal(answer) == (502, "no_reply", None, "false")
    assert "The provider refused the request" in error_of(answer)["message"]


def test_failed_turn_ends_a_stream_with_an_error(tenant: Tenant, provider: FakeProvider) -> None:
    tenant.make_agents("writer")
    provider.add(moods.status(400), times=None)
    *_, last = data_of(post(tenant, {**HELLO, "stream": True}))
    assert json.loads(last)["error"]["code"] == "no_reply"


def test_turn_that_is_handed_over_is_503_and_its_retry_gets_it(tenant: Tenant, provider: FakeProvider) -> None:
    """The provider asks for a pause that exceeds this process's time."""
    tenant.make_agents("writer")
    provider.add(moods.status(429, retry_after=9))
    answer = post(tenant, HELLO)
    assert refusal(answer) == (503, "turn_handed_over", None, "true")
    assert int(answer.headers["retry-after"]) >= 5
    again = post(tenant, HELLO, **{"x-stainless-retry-count": "1"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert rows(tenant) == {"sessions": 1, "turns": 1}


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("{", (400, "invalid_json", None, "false")),
        ("[]", (422, "invalid_request", "body", "false")),
        (json.dumps({**HELLO, "n": 2}), (400, "unsupported", "n", "false")),
        (
            json.dumps({**HELLO, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            (400, "unsupported", "messages[0].content[0]", "false"),
        ),
        (json.dumps({**HELLO, "messages": "hello"}), (422, "invalid_request", "messages", "false")),
        (
            json.dumps({**HELLO, "messages": [user("x" * 32_001)]}),
            (422, "invalid_message", "messages[0].content", "false"),
        ),
        (json.dumps({**HELLO, "messages": [user("\ud800")]}), (422, "invalid_message", "messages[0].content", "false")),
    ],
)
def test_bad_body_is_refused_and_leaves_nothing(tenant: Tenant, body: str, refused: tuple[Any, ...]) -> None:
    tenant.make_agents("writer")
    headers = {"Content-Type": "application/json"}
    answer = tenant.http.post(address(tenant, "chat/completions"), content=body, headers=headers)
    assert refusal(answer) == refused
    assert rows(tenant) == {"sessions": 0, "turns": 0}
    assert ask(tenant, user("hello"))["object"] == "chat.completion"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "chat/completions", 405), ("OPTIONS", "models", 405), ("POST", "responses", 404), ("GET", "files/1", 404)],
)
def test_missing_object_is_404_in_openais_form(tenant: Tenant, method: str, path: str, status: int) -> None:
    answer = tenant.http.request(method, address(tenant, path))
    assert refusal(answer)[0] == status


def test_request_without_a_token_is_refused_by_the_gateway(tenant: Tenant) -> None:
    answer = httpx.post(address(tenant, "chat/completions"), json=HELLO)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
