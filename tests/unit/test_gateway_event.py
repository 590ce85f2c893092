import json
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from fastapi import FastAPI, Request
from mangum import Mangum

from local.gateway.event import InvalidResponse, build_event, build_response, claims_as_strings
from local.gateway.routes import find
from local.gateway.worker import LambdaContext


def scope(
    path: str = "/", method: str = "GET", query: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    pairs = {"host": "127.0.0.1:8000", "user-agent": "test", **headers}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
    }


def event(request: dict[str, Any], body: bytes = b"", claims: dict[str, Any] | None = None) -> dict[str, Any]:
    route, parameters = find(request["method"], request["path"])
    return build_event(request, body, route, parameters, claims, "request-1")


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "key", "function", "authorised"),
        [
            ("POST", "/api/v1/sessions/x/turns", "POST /api/v1/sessions/{session_id}/turns", "turns", True),
            ("GET", "/api/v1/sessions/x/turns", "ANY /api/v1/{proxy+}", "api", True),
            ("POST", "/api/v1/sessions/x/y/turns", "ANY /api/v1/{proxy+}", "api", True),
            ("POST", "/api/v1/sessions//turns", "ANY /api/v1/{proxy+}", "api", True),
            ("POST", "/api/v1/sessions/x/turns/", "ANY /api/v1/{proxy+}", "api", True),
            ("GET", "/api/v1/health", "GET /api/v1/health", "api", False),
            ("POST", "/api/v1/health", "ANY /api/v1/{proxy+}", "api", True),
            ("GET", "/api/v1/healthy", "ANY /api/v1/{proxy+}", "api", True),
            ("PUT", "/api/v1/admin/tenants/x/cap", "ANY /api/v1/admin/{proxy+}", "admin", True),
            ("GET", "/api/v1/admin", "ANY /api/v1/{proxy+}", "api", True),
            ("GET", "/openapi.json", "GET /openapi.json", "api", False),
            ("GET", "/openapi_json", "$default", "api", False),
            ("GET", "/api/v1/openapi.json", "GET /api/v1/openapi.json", "api", False),
            ("DELETE", "/api/v1/agents/a\nb", "ANY /api/v1/{proxy+}", "api", True),
            ("GET", "/api/v1", "$default", "api", False),
            ("GET", "/", "$default", "api", False),
            ("GET", "", "$default", "api", False),
        ],
    )
    def test_a_request_goes_where_api_gateway_would_send_it(
        self, method: str, path: str, key: str, function: str, authorised: bool
    ) -> None:
        route, _ = find(method, path)
        assert (route.key, route.function, route.authorised) == (key, function, authorised)

    def test_parameters_come_from_the_path(self) -> None:
        assert find("POST", "/api/v1/sessions/a b/turns")[1] == {"session_id": "a b"}
        assert find("GET", "/api/v1/sessions/x/turns")[1] == {"proxy": "sessions/x/turns"}


class TestEvent:
    def test_it_has_the_shape_of_payload_format_2(self) -> None:
        built = event(scope("/api/v1/sessions/x/turns", "POST", b"a=1"), b"{}", {"sub": "ada"})
        context = built.pop("requestContext")
        assert isinstance(context.pop("timeEpoch"), int)
        assert context.pop("time").endswith("+0000")
        assert context == {
            "accountId": "000000000000",
            "apiId": "local",
            "authorizer": {"jwt": {"claims": {"sub": "ada"}, "scopes": None}},
            "domainName": "127.0.0.1",
            "domainPrefix": "127",
            "http": {
                "method": "POST",
                "path": "/api/v1/sessions/x/turns",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": "request-1",
            "routeKey": "POST /api/v1/sessions/{session_id}/turns",
            "stage": "$default",
        }
        assert built == {
            "version": "2.0",
            "routeKey": "POST /api/v1/sessions/{session_id}/turns",
            "rawPath": "/api/v1/sessions/x/turns",
            "rawQueryString": "a=1",
            "headers": {
                "host": "127.0.0.1:8000",
                "user-agent": "test",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-port": "8000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"a": "1"},
            "pathParameters": {"session_id": "x"},
            "body": b64encode(b"{}").decode(),
            "isBase64Encoded": True,
        }

    def test_what_a_request_does_not_have_is_left_out(self) -> None:
        built = event(scope("/"))
        assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & set(built)
        assert "authorizer" not in built["requestContext"]
        assert built["rawQueryString"] == ""

    def test_repeated_headers_and_parameters_are_joined_by_commas(self) -> None:
        request = scope(query=b"tag=a&tag=b%20c&empty=")
        request["headers"] += [(b"accept", b"text/csv"), (b"accept", b"*/*")]
        built = event(request)
        assert built["headers"]["accept"] == "text/csv,*/*"
        assert built["queryStringParameters"] == {"tag": "a,b c", "empty": ""}
        assert built["rawQueryString"] == "tag=a&tag=b%20c&empty="

    def test_cookies_move_out_of_the_headers(self) -> None:
        built = event(scope(headers={"cookie": "a=1; b=2"}))
        assert built["cookies"] == ["a=1", "b=2"]
        assert "cookie" not in built["headers"]

    def test_a_client_cannot_say_where_it_comes_from(self) -> None:
        lies = {"x-forwarded-for": "8.8.8.8", "x-forwarded-port": "not a port", "x-forwarded-proto": "gopher"}
        headers = event(scope(headers=lies))["headers"]
        assert (headers["x-forwarded-for"], headers["x-forwarded-port"]) == ("127.0.0.1", "8000")
        assert headers["x-forwarded-proto"] == "http"

    @pytest.mark.parametrize(
        ("content_type", "body", "is_text"),
        [
            ("application/json", "{'ü'}".encode(), True),
            ("application/json; charset=utf-8", b"{}", True),
            ("application/problem+json", b"{}", True),
            ("Text/Plain", b"hello", True),
            ("application/json", b"\xff\xfe", False),
            ("application/octet-stream", b"hello", False),
            ("application/x-www-form-urlencoded", b"a=1", False),
            ("application/jsonlines", b"{}", False),
            ("", b"hello", False),
        ],
    )
    def test_only_text_of_a_textual_type_travels_as_it_is(self, content_type: str, body: bytes, is_text: bool) -> None:
        built = event(scope(headers={"content-type": content_type}), body)
        assert built["isBase64Encoded"] is not is_text
        assert built["body"] == (body.decode() if is_text else b64encode(body).decode())

    def test_it_is_json_whatever_the_client_sent(self) -> None:
        request = scope("/api/v1/\x00\udcff", query=b"\xff=%ff&\xc3\xbc")
        request["headers"] += [(b"x-odd", b"\xff\xfe"), (b"cookie", b"\xff")]
        built = event(request, b"\xff")
        assert json.loads(json.dumps(built)) == built

    def test_claims_are_strings_as_api_gateway_gives_them(self) -> None:
        claims = {"sub": "ada", "exp": 1763769600, "roles": ["admin", "member"], "one": ["admin"], "none": []}
        assert claims_as_strings(claims | {"verified": True, "a": {"b": [1, False]}}) == {
            "sub": "ada",
            "exp": "1763769600",
            "roles": "[admin member]",
            "one": "[admin]",
            "none": "[]",
            "verified": "true",
            "a": "map[b:[1 false]]",
        }


@pytest.fixture(scope="module")
def handler() -> Any:
    app = FastAPI()

    @app.post("/{path:path}")
    async def echo(path: str, request: Request) -> dict[str, Any]:
        return {
            "path": request.url.path,
            "query": request.query_params.multi_items(),
            "cookies": request.cookies,
            "body": (await request.body()).hex(),
            "claims": request.scope["aws.event"]["requestContext"]["authorizer"]["jwt"]["claims"],
        }

    return Mangum(app, lifespan="off")


@pytest.mark.parametrize("body", ["{'ü'}".encode(), b"\xff\x00"])
def test_mangum_makes_of_the_event_what_the_client_sent(handler: Any, body: bytes) -> None:
    headers = {"cookie": "a=1; b=2", "content-type": "application/json"}
    request = scope("/api/v1/ü b", "POST", b"a=1&a=2&b=%20", headers)
    answer = handler(event(request, body, {"sub": "ada"}), LambdaContext("api", "request-1", 0.0))
    assert json.loads(answer["body"]) == {
        "path": "/api/v1/ü b",
        "query": [["a", "1"], ["a", "2"], ["b", " "]],
        "cookies": {"a": "1", "b": "2"},
        "body": body.hex(),
        "claims": {"sub": "ada"},
    }
    assert build_response(answer).status_code == 200


class TestResponse:
    def test_status_headers_cookies_and_text_are_passed_on(self) -> None:
        response = build_response(
            {
                "statusCode": 201,
                "headers": {"Content-Type": "application/json", "X-N": 1, "Content-Length": "99"},
                "cookies": ["a=1", "b=2"],
                "body": "ü",
            }
        )
        assert (response.status_code, response.body) == (201, "ü".encode())
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-n"] == "1"
        assert response.headers.getlist("content-length") == ["2"]
        assert response.headers.getlist("set-cookie") == ["a=1", "b=2"]

    def test_a_base64_body_is_decoded(self) -> None:
        response = build_response({"statusCode": 200, "body": b64encode(b"\xff\x00").decode(), "isBase64Encoded": True})
        assert response.body == b"\xff\x00"

    def test_a_status_without_content_has_neither_body_nor_length(self) -> None:
        response = build_response({"statusCode": 204, "body": "ignored"})
        assert response.body == b""
        assert "content-length" not in response.headers

    @pytest.mark.parametrize(
        "result",
        [
            None,
            "text",
            [],
            {},
            {"statusCode": "200"},
            {"statusCode": 99},
            {"statusCode": 101},
            {"statusCode": 600},
            {"statusCode": 200, "body": {"a": 1}},
            {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
            {"statusCode": 200, "body": "\udcff"},
            {"statusCode": 200, "headers": "x"},
            {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}},
            {"statusCode": 200, "headers": {"x y": "a"}},
            {"statusCode": 200, "headers": {"x": "\u2603"}},
            {"statusCode": 200, "cookies": "a=1"},
        ],
        ids=ascii,
    )
    def test_what_is_no_response_is_refused(self, result: object) -> None:
        with pytest.raises(InvalidResponse):
            build_response(result)
