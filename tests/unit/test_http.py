"""Tests routes, bodies and queries of the HTTP functions with API Gateway's events.

No test here needs a database: the functions refuse such requests before a query.
"""

import json
import re
from types import SimpleNamespace

import pytest

from functions.api import status
from local.gateway.worker import LambdaContext
from tests.support.gateway import Handler, body_of, event, openai_error_of, problem_of, request

SESSION = "/api/v1/sessions/019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"
TURN = "/api/v1/turns/019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"
DOCUMENT = json.loads(status.OPENAPI.read_text())
SECRET = "the prompt of a tenant"


class TestEvents:
    """Events as API Gateway sends them, whole."""

    def test_event_of_a_get_is_answered(self, api: Handler, context: LambdaContext) -> None:
        answer = api(event("api_get"), context)
        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
        models = body_of(answer)
        assert models["next_cursor"] is None
        assert [model["alias"] for model in models["items"]] == ["fast", "deep"]
        assert list(models["items"][1]["rates"]) == [
            "input", "output", "cache_read", "cache_write", "reasoning", "cache_write_1h"
        ]  # fmt: skip
        assert models["items"][1]["rates"]["cache_write"] == "0.625"

    def test_event_of_a_post_is_answered(self, api: Handler, context: LambdaContext) -> None:
        answer = api(event("api_post"), context)
        assert answer["statusCode"] == 422
        assert "fast, deep" in json.loads(answer["body"])["detail"]

    def test_event_of_a_turn_is_answered(self, turns: Handler, context: LambdaContext) -> None:
        answer = turns(event("turns_post"), context)
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (422, "invalid_message")

    def test_event_of_a_turn_by_an_api_key_is_answered(self, turns: Handler, context: LambdaContext) -> None:
        answer = turns(event("turns_post_by_key"), context)
        assert answer["statusCode"] == 422
        (fault,) = json.loads(answer["body"])["errors"]
        assert fault["path"] == "body.agent_keys"


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1"),
            ("GET", "/api/v1/nothing"),
            ("POST", "/api/v1/nothing"),
            ("GET", "/api/v1/models/"),
            ("GET", "/api/v2/models"),
            ("GET", "/api/v1/agents/No-Such-Key"),
            ("GET", "/api/v1/agents/writer\n"),
            ("DELETE", "/api/v1/agents/" + "x" * 33),
            ("GET", "/api/v1/sessions/1"),
            ("PATCH", "/api/v1/sessions/\x00"),
            ("GET", "/api/v1/turns/none"),
            ("GET", "/api/v1/turns/\ud800"),
            ("POST", "/api/v1/turns/none/cancel"),
        ],
    )
    def test_unknown_path_is_404(self, api: Handler, context: LambdaContext, method: str, path: str) -> None:
        answer = api(request(method, path, {} if method == "PATCH" else None), context)
        problem_of(answer, 404, "not_found")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("DELETE", "/api/v1/models", {"GET"}),
            ("POST", "/api/v1/auth/me", {"GET"}),
            ("PUT", "/api/v1/health", {"GET"}),
            ("DELETE", f"{SESSION}/turns", {"GET", "POST"}),
        ],
    )
    def test_unsupported_method_is_405_with_the_allowed_methods(
        self, api: Handler, context: LambdaContext, method: str, path: str, allowed: set[str]
    ) -> None:
        answer = api(request(method, path), context)
        problem_of(answer, 405, "method_not_allowed")
        assert set(answer["headers"]["allow"].split(", ")) == allowed

    @pytest.mark.parametrize("path", DOCUMENT["paths"])
    def test_allow_header_of_each_function_lists_every_method_of_the_path(
        self, api: Handler, admin: Handler, turns: Handler, context: LambdaContext, path: str
    ) -> None:
        refuse = admin if "/admin/" in path else turns if path == "/mcp" else api
        answer = refuse(request("OPTIONS", re.sub(r"\{key\}", "writer", path)), context)
        refused = openai_error_of if path.startswith("/v1/") else problem_of
        refused(answer, 405, "method_not_allowed")
        assert set(answer["headers"]["allow"].split(", ")) == {method.upper() for method in DOCUMENT["paths"][path]}

    @pytest.mark.parametrize(("method", "code"), [("GET", 405), ("POST", 404)])
    def test_the_turns_function_knows_no_other_route(
        self, turns: Handler, context: LambdaContext, method: str, code: int
    ) -> None:
        path = f"{SESSION}/turns" if code == 405 else "/api/v1/agents"
        problem_of(turns(request(method, path), context), code, "method_not_allowed" if code == 405 else "not_found")

    def test_turn_of_a_malformed_session_is_404(self, turns: Handler, context: LambdaContext) -> None:
        problem_of(turns(request("POST", "/api/v1/sessions/1/turns", {"message": "Hello."}), context), 404, "not_found")

    @pytest.mark.parametrize("path", ["/openapi.json", "/api/v1/openapi.json"])
    def test_served_contract_equals_the_committed_one(self, api: Handler, context: LambdaContext, path: str) -> None:
        asked = request("GET", path)
        del asked["requestContext"]["authorizer"]
        asked["requestContext"]["path"] = path
        answer = api(asked, context)
        assert body_of(answer)["openapi"].startswith("3.1")
        assert answer["body"].encode() == status.OPENAPI.read_bytes()

    @pytest.mark.parametrize(("stage", "server"), [("/live", "/live"), ("", "/")])
    def test_contract_names_the_requested_address_as_its_server(
        self, api: Handler, context: LambdaContext, stage: str, server: str
    ) -> None:
        asked = request("GET", "/openapi.json")
        asked["requestContext"]["path"] = f"{stage}/openapi.json"
        servers = body_of(api(asked, context))["servers"]
        assert [each["url"] for each in servers][:2] == [server, "http://127.0.0.1:8000"]

    def test_addresses_in_headers_begin_with_the_base_path(
        self, api: Handler, context: LambdaContext, environment: pytest.MonkeyPatch
    ) -> None:
        page = SimpleNamespace(after=None, next_cursor="next")
        environment.setattr("functions.api.history.record_cancel", lambda *_: SimpleNamespace(body="{}"))
        environment.setattr("functions.api.export.load_export", lambda *_: page)
        environment.setattr("functions.api.export.render", lambda _: "")
        cancelled = api(request("POST", f"{TURN}/cancel"), context)
        assert cancelled["headers"]["location"] == f"/live{TURN}"
        exported = api(request("GET", f"{SESSION}/export", query="format=markdown"), context)
        assert exported["headers"]["link"].startswith(f"</live{SESSION}/export?")

    def test_path_is_not_shortened_when_only_its_letters_begin_like_the_stage(
        self, api: Handler, context: LambdaContext
    ) -> None:
        asked = request("GET", "/")
        asked["requestContext"]["path"] = "/lively/api/v1/auth/me"
        problem_of(api(asked, context), 404, "not_found")

    def test_an_encoded_path_is_decoded_once(self, admin: Handler, context: LambdaContext) -> None:
        asked = request("GET", "/api/v1/admin/tenants/a%2Fb%2525/cap")
        asked["requestContext"]["path"] = "/live/api/v1/admin/tenants/%00/cap"
        asked["requestContext"]["authorizer"]["roles"] = '["pantheon:operator"]'
        problem_of(admin(asked, context), 404, "not_found")


AGENT = {"key": "writer", "name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            "{",
            "no json",
            "{'key': 'writer'}",
            '{"key": "writer"} x',
            "[" * 100_000,
            "9" * 5000,
            '{"key": "\\q"}',
        ],
    )
    def test_body_that_is_not_json_is_400(self, api: Handler, context: LambdaContext, body: str) -> None:
        problem_of(api(request("POST", "/api/v1/agents", body), context), 400, "invalid_json")

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_json_of_another_content_type_is_refused(
        self, api: Handler, context: LambdaContext, content_type: str
    ) -> None:
        asked = request("POST", "/api/v1/agents", AGENT, headers={"content-type": content_type})
        problem = problem_of(api(asked, context), 400, "invalid_json")
        assert "Content-Type" in problem["detail"]

    @pytest.mark.parametrize("body", ["null", "[]", '"text"', "1", "true", "NaN"])
    def test_json_that_is_not_an_object_is_invalid(self, api: Handler, context: LambdaContext, body: str) -> None:
        problem = problem_of(api(request("POST", "/api/v1/agents", body), context), 422, "invalid_request")
        assert [fault["path"] for fault in problem["errors"]] == ["body"]

    def test_each_fault_has_its_path_without_the_input(self, api: Handler, context: LambdaContext) -> None:
        body = AGENT | {"name": 1, "temperature": SECRET, "max_output_tokens": True, SECRET: 1}
        answer = api(request("POST", "/api/v1/agents", body), context)
        problem = problem_of(answer, 422, "invalid_request")
        assert {fault["path"] for fault in problem["errors"]} == {
            "body.name",
            "body.temperature",
            "body.max_output_tokens",
            f"body.{SECRET}",
        }
        assert all(set(fault) == {"path", "message", "type"} for fault in problem["errors"])
        assert answer["body"].count(SECRET) == 2, "the unknown field's own name, in the detail and in its path"

    def test_answer_to_ten_thousand_faults_is_short(self, api: Handler, context: LambdaContext) -> None:
        body = AGENT | {f"field{number}" + "x" * 500: 1 for number in range(10_000)}
        answer = api(request("POST", "/api/v1/agents", body), context)
        assert len(problem_of(answer, 422, "invalid_request")["errors"]) == 100
        assert len(answer["body"]) < 50_000

    def test_a_lone_surrogate_in_a_name_cannot_break_the_answer(self, api: Handler, context: LambdaContext) -> None:
        for body in ('{"\\ud800": 1}', json.dumps(AGENT | {"name": "\ud800"})):
            problem_of(api(request("POST", "/api/v1/agents", body), context), 422, "invalid_request")

    @pytest.mark.parametrize("alias", ["smart", "", "\x00", "\ud800", "FAST"])
    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_unknown_alias_is_refused_with_the_existing_ones(
        self, api: Handler, context: LambdaContext, method: str, alias: str
    ) -> None:
        body = AGENT | {"model_alias": alias}
        path = "/api/v1/agents"
        if method == "PUT":
            path += f"/{body.pop('key')}"
        problem = problem_of(api(request(method, path, body), context), 422, "invalid_request")
        assert problem["detail"].endswith("fast, deep.")


class TestQueries:
    @pytest.mark.parametrize(
        ("path", "query", "fault"),
        [
            ("/api/v1/agents", "limit=0", "query.limit"),
            ("/api/v1/agents", "limit=101", "query.limit"),
            ("/api/v1/agents", "limit=ten", "query.limit"),
            ("/api/v1/sessions", "order=sideways", "query.order"),
            ("/api/v1/sessions", "cursor=" + "x" * 1001, "query.cursor"),
            (TURN, "wait=20.1", "query.wait"),
            (TURN, "wait=-1", "query.wait"),
            (TURN, "wait=nan", "query.wait"),
            (TURN, "after=-1", "query.after"),
        ],
    )
    def test_a_value_out_of_its_limits_is_invalid(
        self, api: Handler, context: LambdaContext, path: str, query: str, fault: str
    ) -> None:
        problem = problem_of(api(request("GET", path, query=query), context), 422, "invalid_request")
        assert [found["path"] for found in problem["errors"]] == [fault]

    @pytest.mark.parametrize("path", ["/api/v1/agents", "/api/v1/sessions", f"{SESSION}/turns"])
    @pytest.mark.parametrize("cursor", ["", "x", "%00", "%ED%A0%80", "W10=", "e30=", "SW5maW5pdHk="])
    def test_a_cursor_of_another_make_is_invalid(
        self, api: Handler, context: LambdaContext, path: str, cursor: str
    ) -> None:
        problem_of(api(request("GET", path, query=f"cursor={cursor}"), context), 422, "invalid_request")


class TestTurns:
    @pytest.mark.parametrize(
        "message", ["", " ", "\n\t\u3000", "x" * 32_001, "a\x00b", "\ud83d"], ids=lambda text: repr(text[:3])
    )
    def test_message_of_another_form_is_422_invalid_message(
        self, turns: Handler, context: LambdaContext, message: str
    ) -> None:
        answer = turns(request("POST", f"{SESSION}/turns", {"message": message}), context)
        problem_of(answer, 422, "invalid_message")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"message": 1},
            {"message": None},
            {"message": "Hello.", "surprise": 1},
            {"message": "Hello.", "mode": "chaos"},
            {"message": "Hello.", "agent_keys": []},
            {"message": "Hello.", "agent_keys": ["writer", "writer"]},
            {"message": "Hello.", "agent_keys": ["Writer"]},
        ],
    )
    def test_other_fault_of_a_turn_is_422_invalid_request(
        self, turns: Handler, context: LambdaContext, body: dict[str, object]
    ) -> None:
        problem_of(turns(request("POST", f"{SESSION}/turns", body), context), 422, "invalid_request")

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_an_idempotency_key_has_1_to_255_characters(self, turns: Handler, context: LambdaContext, key: str) -> None:
        asked = request("POST", f"{SESSION}/turns", {"message": "Hello."}, headers={"idempotency-key": key})
        problem = problem_of(turns(asked, context), 422, "invalid_request")
        assert [fault["path"] for fault in problem["errors"]] == ["header.idempotency-key"]

    def test_turn_without_a_token_is_refused(self, turns: Handler, context: LambdaContext) -> None:
        asked = request("POST", f"{SESSION}/turns", {"message": "Hello."})
        del asked["requestContext"]["authorizer"]
        problem_of(turns(asked, context), 401, "unauthorized")
