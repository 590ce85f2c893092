"""Tests POST /mcp of the turns function: messages, versions, statuses and batches."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from functions.stream import Stream
from functions.turns.mcp_messages import MAX_BATCH
from functions.turns.mcp_versions import INITIALIZED_VERSIONS
from local.gateway.worker import LambdaContext
from shared.errors import DatabaseUnavailable
from shared.names import VERSION
from tests.support import mcp_exchange
from tests.support.gateway import Handler, LogLines, request
from tests.support.mcp_exchange import ENVELOPE, asking, message, playing, stateless, told

Post = Callable[..., Any]
SECRET = "the prompt of a tenant"


@pytest.fixture
def post(turns: Handler, environment: pytest.MonkeyPatch, context: LambdaContext) -> Iterator[Post]:
    environment.setattr("functions.turns.mcp_methods.take_question", playing())
    yield partial(mcp_exchange.post, turns, context)
    assert not [thread for thread in threading.enumerate() if thread.name == "turn"]


def error_of(answer: Any, status: int, code: int, id_: object) -> dict[str, Any]:
    error: dict[str, Any] = told(answer)["error"]
    assert (answer["statusCode"], error["code"], told(answer)["id"]) == (status, code, id_)
    return error


@pytest.mark.parametrize("version", INITIALIZED_VERSIONS)
def test_initialize_agrees_to_a_version_that_is_spoken(post: Post, version: str) -> None:
    answer = post(message("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {}}))
    result = told(answer)["result"]
    assert (answer["statusCode"], result["protocolVersion"]) == (200, version)
    assert result["serverInfo"] == {"name": "pantheon", "title": "Pantheon", "version": VERSION}
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert "mcp-session-id" not in answer["headers"]


@pytest.mark.parametrize("version", ["2026-07-28", "1.0", ""])
def test_initialize_offers_the_newest_version_for_another_one(post: Post, version: str) -> None:
    assert told(post(message("initialize", {"protocolVersion": version})))["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("params", [None, {}, {"protocolVersion": 1}, [], "x"])
def test_initialize_refuses_bad_parameters(post: Post, params: object) -> None:
    error_of(post(message("initialize", params)), 200, -32602, 1)


@pytest.mark.parametrize("id_", [0, 1, -5, 2**70, "", "a", "ü\ud800"])
def test_answer_has_the_id_of_its_request(post: Post, id_: object) -> None:
    assert told(post(message("ping", id_=id_))) == {"jsonrpc": "2.0", "id": id_, "result": {}}


@pytest.mark.parametrize(
    "sent",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "x"}},
        {"jsonrpc": "2.0", "method": "nobody/knows"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
    ],
)
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
def test_notification_has_no_answer(post: Post, sent: object, version: str) -> None:
    answer = post(sent, MCP_Protocol_Version=version)
    assert (answer["statusCode"], answer["body"]) == (202, "")


@pytest.mark.parametrize("body", ["", "{", '{"a":NaN}', '{"a":Infinity}', "[" * 100_000, '{"id":' + "1" * 5000 + "}"])
def test_body_that_is_not_json_is_a_parse_error(post: Post, body: str) -> None:
    error_of(post(body), 400, -32700, None)


@pytest.mark.parametrize(
    "sent",
    [
        "hello",
        7,
        "null",
        {},
        {"id": 1, "method": "ping"},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "method": 7},
        {"jsonrpc": "2.0", "result": {}},
        message("ping", id_=None),
        message("ping", id_=True),
        message("ping", id_=1.5),
        message("ping", id_=[1]),
    ],
)
def test_body_that_is_not_a_message_is_an_invalid_request(post: Post, sent: object) -> None:
    error_of(post(json.dumps(sent)), 400, -32600, None)


@pytest.mark.parametrize("method", ["resources/list", "prompts/list", "server/discover", "logging/setLevel", ""])
def test_unknown_method_is_an_error_of_its_request(post: Post, method: str) -> None:
    error_of(post(message(method)), 200, -32601, 1)


@pytest.mark.parametrize(
    "params",
    [None, [], {}, {"name": 7}, {"name": ["x"]}, {"name": "nobody"}, {"name": "ask_council", "arguments": []}],
)
def test_call_without_a_tool_is_invalid(post: Post, params: object) -> None:
    error_of(post(message("tools/call", params)), 200, -32602, 1)


def test_tools_are_listed_on_one_page(post: Post) -> None:
    tools = told(post(message("tools/list")))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["list_councils", "ask_council"]
    assert all(tool["outputSchema"]["type"] == tool["inputSchema"]["type"] == "object" for tool in tools)
    error_of(post(message("tools/list", {"cursor": "x"})), 200, -32602, 1)


def test_councils_are_listed_by_key_with_kind_and_mode(post: Post, environment: pytest.MonkeyPatch) -> None:
    rows = [
        {"kind": "council", "key": "board", "name": "Board", "mode": "council", "created_at": None},
        {"kind": "agent", "key": "writer", "name": "Writer", "mode": None, "created_at": None},
    ]
    environment.setattr("functions.turns.mcp_methods.load_models", lambda *_: rows)
    result = told(post(message("tools/call", {"name": "list_councils"})))["result"]
    assert result["structuredContent"] == {
        "councils": [
            {"key": "board", "name": "Board", "kind": "council", "mode": "council"},
            {"key": "writer", "name": "Writer", "kind": "agent", "mode": None},
        ]
    }
    assert result["content"] == [{"type": "text", "text": "board: Board (council)\nwriter: Writer (agent)"}]


def test_list_reports_our_own_failure(post: Post, environment: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable

    environment.setattr("functions.turns.mcp_methods.load_models", fail)
    result = told(post(message("tools/call", {"name": "list_councils"})))["result"]
    assert (result["isError"], result["_meta"]["pantheon/problem"]["status"]) == (True, 503)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_other_methods_are_405(turns: Handler, context: LambdaContext, method: str) -> None:
    answer = turns(request(method, "/mcp", headers={"Accept": "text/event-stream"}), context)
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "text/html"}, 406),
        ({"Accept": "application/json;q=0"}, 406),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"MCP_Protocol_Version": "2023-01-01"}, 400),
        ({"MCP_Protocol_Version": ""}, 400),
    ],
)
def test_invalid_headers_are_refused(post: Post, headers: dict[str, str], status: int) -> None:
    answer = post(message("ping"), **headers)
    assert (answer["statusCode"], told(answer)["id"]) == (status, None)


def test_allowed_origin_may_speak(post: Post, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PANTHEON_CORS_ORIGINS", "https://chat.example")
    assert post(message("ping"), Origin="https://chat.example")["statusCode"] == 200
    assert post(message("ping"), Origin="https://chat.example.evil.example")["statusCode"] == 403


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/event-stream;q=0.5, application/json"])
def test_quick_answer_is_json_when_the_client_accepts_it(post: Post, accept: str) -> None:
    assert told(post(message("ping"), Accept=accept))["result"] == {}


def test_quick_answer_is_an_event_when_the_client_accepts_only_events(post: Post) -> None:
    answer = post(message("ping"), Accept="text/event-stream")
    assert isinstance(answer, Stream)
    assert told(answer) == [{"jsonrpc": "2.0", "id": 1, "result": {}}]


def test_batch_is_answered_message_by_message(post: Post) -> None:
    batch = [
        message("ping", id_="a"),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"id": 1},
        message("nobody/knows", id_="b"),
        message("initialize", {"protocolVersion": "2025-03-26"}, id_="c"),
    ]
    answers = told(post(batch, Accept="application/json"))
    assert [(each["id"], each.get("error", {}).get("code")) for each in answers] == [
        ("a", None),
        (None, -32600),
        ("b", -32601),
        (None, -32600),
    ]


def test_batch_with_a_question_is_streamed(post: Post) -> None:
    answers = told(post([message("ping", id_="a"), asking(), asking()]))
    assert [each["id"] for each in answers] == ["a", 1, 1]
    assert [each["result"].get("isError") for each in answers] == [None, False, False]


def test_batch_without_requests_has_no_answer(post: Post) -> None:
    assert post([{"jsonrpc": "2.0", "method": "notifications/initialized"}])["statusCode"] == 202


@pytest.mark.parametrize("batch", [[], [message("ping")] * (MAX_BATCH + 1)])
def test_batch_of_none_or_too_many_is_refused(post: Post, batch: list[object]) -> None:
    error_of(post(batch), 400, -32600, None)


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_batch_is_refused_when_the_version_has_none(post: Post, version: str) -> None:
    error_of(post([message("ping")], MCP_Protocol_Version=version), 400, -32600, None)


def test_stateless_version_is_discovered(post: Post) -> None:
    sent, headers = stateless(message("server/discover"))
    result = told(post(sent, **headers))["result"]
    assert result["supportedVersions"] == [*INITIALIZED_VERSIONS, "2026-07-28"]
    assert (result["resultType"], result["cacheScope"], result["ttlMs"]) == ("complete", "public", 300_000)
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "pantheon"


def test_stateless_results_are_marked_complete(post: Post) -> None:
    for sent in (message("tools/list"), asking()):
        body, headers = stateless(sent)
        assert told(post(body, **headers))["result"]["resultType"] == "complete"


@pytest.mark.parametrize("method", ["initialize", "ping", "nobody/knows", "subscriptions/listen"])
def test_stateless_version_has_no_other_method(post: Post, method: str) -> None:
    sent, headers = stateless(message(method))
    error_of(post(sent, **headers), 404, -32601, 1)


@pytest.mark.parametrize(
    "changes", [{"Mcp_Method": None}, {"Mcp_Method": "ping"}, {"Mcp_Name": None}, {"Mcp_Name": "x"}]
)
def test_stateless_headers_must_match_the_body(post: Post, changes: dict[str, str | None]) -> None:
    sent, headers = stateless(asking(), **changes)
    error_of(post(sent, **headers), 400, -32020, 1)


@pytest.mark.parametrize("missing", ENVELOPE)
def test_stateless_request_must_have_its_envelope(post: Post, missing: str) -> None:
    sent, headers = stateless(message("tools/list"))
    del sent["params"]["_meta"][missing]
    error_of(post(sent, **headers), 400, -32602, 1)


@pytest.mark.parametrize("version", ["2025-11-25", None, 7])
def test_stateless_body_must_name_the_version_of_the_header(post: Post, version: object) -> None:
    sent, headers = stateless(message("tools/list"))
    sent["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = version
    error_of(post(sent, **headers), 400, -32020, 1)


def test_log_has_no_text_of_a_question(post: Post, log_lines: LogLines) -> None:
    post(asking(message=SECRET))
    assert SECRET not in json.dumps(log_lines())
