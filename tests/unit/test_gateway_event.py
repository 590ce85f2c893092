"""Tests the events that the local gateway makes, and the responses that it accepts."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI, Request
from mangum import Mangum

from local.gateway.event import InvalidResponse, build_event, build_response
from local.gateway.routes import find
from local.gateway.worker import LambdaContext
from shared.names import ROUTES

CALLER = {"user": "ada", "tenant": "acme", "roles": '["member"]', "key_id": "", "email": ""}


def scope(
    path: str = "/", method: str = "GET", query: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """ASGI's scope of a request. `path` is percent-encoded."""
    pairs = {"host": "127.0.0.1:8000", "user-agent": "test", **headers}
    return {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query,
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
    }


def event(request: dict[str, Any], body: bytes = b"", authorizer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = find(request["method"], request["raw_path"].decode())
    assert found
    return build_event(request, body, *found, authorizer, "request-1")


class TestEvent:
    def test_event_has_the_shape_of_version_1(self) -> None:
        built = event(scope("/api/v1/sessions/x/turns", "POST", b"a=1"), b"{}", CALLER)
        context = built.pop("requestContext")
        identity = context.pop("identity")
        assert isinstance(context.pop("requestTimeEpoch"), int)
        assert context.pop("requestTime").endswith("+0000")
        assert context == {
            "accountId": "000000000000",
            "apiId": "local",
            "authorizer": CALLER,
            "deploymentId": "local",
            "domainName": "127.0.0.1",
            "domainPrefix": "127",
            "extendedRequestId": "request-1",
            "httpMethod": "POST",
            "path": "/api/v1/sessions/x/turns",
            "protocol": "HTTP/1.1",
            "requestId": "request-1",
            "resourceId": "local",
            "resourcePath": "/api/v1/sessions/{session_id}/turns",
            "stage": "live",
        }
        assert {name: value for name, value in identity.items() if value} == {
            "sourceIp": "127.0.0.1",
            "userAgent": "test",
        }
        headers = {
            "host": "127.0.0.1:8000",
            "user-agent": "test",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": "8000",
            "x-forwarded-proto": "http",
        }
        assert built == {
            "resource": "/api/v1/sessions/{session_id}/turns",
            "path": "/api/v1/sessions/x/turns",
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"a": "1"},
            "multiValueQueryStringParameters": {"a": ["1"]},
            "pathParameters": {"session_id": "x"},
            "stageVariables": None,
            "body": "{}",
            "isBase64Encoded": False,
        }

    def test_a_missing_part_is_null(self) -> None:
        built = event(scope("/"))
        parts = ("body", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters")
        assert [built[name] for name in parts] == [None] * 4
        assert "authorizer" not in built["requestContext"]

    def test_event_has_the_path_as_the_client_sent_it(self) -> None:
        path = "/api/v1/agents/a%2Fb%20c/"
        built = event(scope(path))
        assert (built["path"], built["requestContext"]["path"]) == (path, path)
        assert built["pathParameters"] == {"proxy": "agents/a%2Fb%20c"}

    def test_repeated_headers_and_parameters_keep_every_value_and_the_last(self) -> None:
        request = scope(query=b"tag=a&tag=b%20c&empty=&plus=a+b%2B")
        request["headers"] += [(b"accept", b"text/csv"), (b"accept", b"*/*"), (b"cookie", b"a=1; b=2")]
        built = event(request)
        assert (built["headers"]["accept"], built["headers"]["cookie"]) == ("*/*", "a=1; b=2")
        assert built["multiValueHeaders"]["accept"] == ["text/csv", "*/*"]
        assert built["queryStringParameters"] == {"tag": "b c", "empty": "", "plus": "a b+"}
        assert built["multiValueQueryStringParameters"] == {"tag": ["a", "b c"], "empty": [""], "plus": ["a b+"]}

    def test_headers_of_the_connection_are_left_out(self) -> None:
        headers = event(scope(headers={"connection": "upgrade", "upgrade": "websocket", "te": "trailers"}))["headers"]
        assert not {"connection", "upgrade", "te"} & set(headers)

    def test_client_cannot_set_its_own_address(self) -> None:
        lies = {"x-forwarded-for": "8.8.8.8", "x-forwarded-port": "not a port", "x-forwarded-proto": "gopher"}
        built = event(scope(headers=lies))
        for name, value in (("for", "127.0.0.1"), ("port", "8000"), ("proto", "http")):
            assert built["headers"][f"x-forwarded-{name}"] == value
            assert built["multiValueHeaders"][f"x-forwarded-{name}"] == [value]

    @pytest.mark.parametrize(("host", "named"), [("[::1]:8000", "localhost:8000"), ("[::1]", "localhost")])
    def test_an_address_of_ipv6_is_named_because_functions_cannot_read_it(self, host: str, named: str) -> None:
        built = event(scope(headers={"host": host}))
        assert (built["headers"]["host"], built["requestContext"]["domainName"]) == (named, "localhost")
        context: Any = LambdaContext("api", "request-1", 1.0)
        assert Mangum(FastAPI(), lifespan="off")(built, context)["statusCode"] == 404

    @pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "image/png", ""])
    @pytest.mark.parametrize(("sent", "arrived"), [("{'ü'}".encode(), "{'ü'}"), (b"a\xff\xfeb\x00", "a��b\x00")])
    def test_body_is_text_for_each_content_type(self, content_type: str, sent: bytes, arrived: str) -> None:
        built = event(scope("/api/v1/x", "POST", headers={"content-type": content_type}), sent)
        assert (built["body"], built["isBase64Encoded"]) == (arrived, False)

    def test_event_is_json_for_every_request(self) -> None:
        request = scope("/api/v1/%00%ff", query=b"\xff=%ff&\xc3\xbc")
        request["raw_path"] += b"\xff"
        request["headers"] += [(b"x-odd", b"\xff\xfe"), (b"cookie", b"\xff")]
        built = build_event(request, b"\xff", ROUTES[-1], {"proxy": "\x00"}, None, "request-1")
        assert json.loads(json.dumps(built).encode()) == built


@pytest.fixture(scope="module")
def handler() -> Any:
    app = FastAPI()

    @app.post("/{path:path}")
    async def echo(path: str, request: Request) -> dict[str, Any]:
        return {
            "path": request.url.path,
            "query": request.query_params.multi_items(),
            "cookies": request.cookies,
            "body": (await request.body()).decode(),
            "caller": request.scope["aws.event"]["requestContext"]["authorizer"],
        }

    return Mangum(app, lifespan="off")


def test_mangum_restores_the_clients_request_from_the_event(handler: Any) -> None:
    headers = {"cookie": "a=1; b=2", "content-type": "application/json"}
    request = scope("/api/v1/a-b", "POST", b"a=1&a=2&b=%20", headers)
    answer = handler(event(request, "{'ü'}".encode(), CALLER), LambdaContext("api", "request-1", 0.0))
    assert json.loads(answer["body"]) == {
        "path": "/api/v1/a-b",
        "query": [["a", "1"], ["a", "2"], ["b", " "]],
        "cookies": {"a": "1", "b": "2"},
        "body": "{'ü'}",
        "caller": CALLER,
    }
    assert build_response(answer).status_code == 200


class TestResponse:
    def test_status_headers_and_text_are_passed_on(self) -> None:
        response = build_response(
            {
                "statusCode": 201,
                "headers": {"Content-Type": "application/json", "Content-Length": "99", "Connection": "close"},
                "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
                "body": "ü",
                "isBase64Encoded": False,
            }
        )
        assert (response.status_code, response.body) == (201, "ü".encode())
        assert response.headers["content-type"] == "application/json"
        assert response.headers.getlist("content-length") == ["2"]
        assert response.headers.getlist("set-cookie") == ["a=1", "b=2"]
        assert "connection" not in response.headers

    def test_the_two_kinds_of_headers_are_merged(self) -> None:
        headers = {"X-One": "1", "Vary": "Origin", "link": "a"}
        multi = {"x-one": ["1"], "vary": ["Accept"], "X-Two": ["2", "2"]}
        merged = build_response({"statusCode": 200, "headers": headers, "multiValueHeaders": multi}).headers
        assert merged.getlist("x-one") == ["1"]
        assert sorted(merged.getlist("vary")) == ["Accept", "Origin"]
        assert merged.getlist("x-two") == ["2", "2"]
        assert merged.getlist("link") == ["a"]

    @pytest.mark.parametrize("name", ["Date", "Server", "WWW-Authenticate", "Proxy-Authenticate"])
    def test_a_header_that_a_rest_api_sets_itself_is_renamed(self, name: str) -> None:
        headers = build_response({"statusCode": 401, "headers": {name: "x"}}).headers
        assert headers[f"x-amzn-remapped-{name}"] == "x"
        assert name not in headers

    def test_null_members_count_as_missing(self) -> None:
        response = build_response({"statusCode": 200, "headers": None, "multiValueHeaders": None, "body": None})
        assert response.body == b""

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
            {"statusCode": True},
            {"statusCode": 99},
            {"statusCode": 101},
            {"statusCode": 600},
            {"statusCode": 200, "body": {"a": 1}},
            {"statusCode": 200, "body": "aGk=", "isBase64Encoded": True},
            {"statusCode": 200, "body": "\udcff"},
            {"statusCode": 200, "headers": "x"},
            {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}},
            {"statusCode": 200, "headers": {"x y": "a"}},
            {"statusCode": 200, "headers": {"x": "\u2603"}},
            {"statusCode": 200, "headers": {"x": 1}},
            {"statusCode": 200, "multiValueHeaders": ["x"]},
            {"statusCode": 200, "multiValueHeaders": {"x": "a"}},
            {"statusCode": 200, "multiValueHeaders": {"x": [1]}},
            {"statusCode": 200, "multiValueHeaders": {"x": ["a\nb"]}},
            {"statusCode": 200, "cookies": ["a=1"]},
        ],
        ids=ascii,
    )
    def test_result_of_another_shape_is_refused(self, result: object) -> None:
        with pytest.raises(InvalidResponse):
            build_response(result)
