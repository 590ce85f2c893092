"""Tests a request's way through the gateway: its route, the authorizer, its answers, and the event."""

from pathlib import Path

import httpx
import pytest

from tests.support.stack.misbehaving import GOOD, answer_to, invocations

REQUEST = b"GET /api/v1/agents HTTP/1.1\r\nHost: localhost\r\n"


def test_a_path_without_a_route_is_404_without_a_token_or_a_function(client: httpx.Client) -> None:
    for method, path in (("GET", "/no/such/thing"), ("POST", "/"), ("GET", "/api/v1"), ("GET", "/v1")):
        response = client.request(method, path, headers=GOOD)
        assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
        assert "x-pid" not in response.headers


def test_the_function_gets_the_event_of_its_request(client: httpx.Client) -> None:
    response = client.post("/api/v1/a%2Fb/reveal?q=1&q=%20", content="ü", headers=GOOD)
    event = response.json()
    assert (event["path"], event["requestContext"]["path"]) == ("/api/v1/a%2Fb/reveal", "/api/v1/a%2Fb/reveal")
    assert (event["resource"], event["requestContext"]["stage"]) == ("/api/v1/{proxy+}", "live")
    assert event["multiValueQueryStringParameters"] == {"q": ["1", " "]}
    assert (event["body"], event["isBase64Encoded"]) == ("ü", False)


class TestAuthorization:
    """The route table, the authorizer and its answers."""

    def refused(self, response: httpx.Response, message: str, challenge: str) -> None:
        assert (response.status_code, response.json()) == (401, {"message": message})
        assert response.headers.get_list("www-authenticate") == [challenge]
        assert "x-pid" not in response.headers

    def test_function_gets_the_authorizers_context(self, client: httpx.Client) -> None:
        told = client.get("/api/v1/reveal", headers=GOOD).json()["requestContext"]["authorizer"]
        assert isinstance(told.pop("integrationLatency"), int)
        caller = {"user": "ada", "tenant": "acme", "roles": '["member"]', "key_id": "", "email": ""}
        assert told == caller | {"principalId": "ada"}

    @pytest.mark.parametrize("headers", [b"", b"Authorization:\r\n", b"Authorization:  \t \r\n", b"X: Bearer good\r\n"])
    def test_without_a_credential_it_is_401_and_no_function_runs(
        self, port: int, directory: Path, headers: bytes
    ) -> None:
        before = invocations(directory)
        answer = answer_to(port, REQUEST + headers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: Bearer\r\n" in answer
        assert answer.endswith(b'{"message":"Unauthorized"}')
        assert invocations(directory) == before

    def test_two_headers_are_401_though_each_is_good(self, client: httpx.Client, directory: Path) -> None:
        before = invocations(directory)
        header = ("Authorization", "Bearer good")
        self.refused(client.get("/api/v1/agents", headers=[header, header]), "Unauthorized", "Bearer")
        assert invocations(directory) == before

    @pytest.mark.parametrize("value", [b"Bearer", b"Bearer x", b"Basic eDp5", b"Bearer \xff", b"Bearer bad"], ids=ascii)
    def test_a_deny_is_401_with_its_reason(self, client: httpx.Client, value: bytes) -> None:
        reason = "The token is malformed."
        challenge = f'Bearer error="invalid_token", error_description="{reason}"'
        self.refused(client.get("/api/v1/agents", headers=[(b"Authorization", value)]), reason, challenge)

    def test_a_policy_for_another_route_is_401(self, client: httpx.Client) -> None:
        narrow = {"Authorization": "Bearer narrow"}
        assert client.get("/api/v1/agents", headers=narrow).status_code == 200
        self.refused(client.put("/api/v1/health", headers=narrow), "Unauthorized", "Bearer")

    def test_the_authorizer_is_asked_once_for_each_header(self, client: httpx.Client, directory: Path) -> None:
        client.get("/api/v1/agents", headers=GOOD)
        before = invocations(directory)
        for path in ("/api/v1/agents", "/api/v1/sessions", "/mcp"):
            assert client.get(path, headers=GOOD).status_code == 200
        assert invocations(directory) == before
        client.get("/api/v1/agents", headers={"Authorization": "Bearer another"})
        assert invocations(directory) == before + 1

    @pytest.mark.parametrize("token", ["fail", "die", "garbage"])
    def test_an_authorizer_without_an_answer_is_503_and_asked_again(
        self, client: httpx.Client, directory: Path, token: str
    ) -> None:
        before = invocations(directory)
        for _ in range(2):
            response = client.get("/api/v1/agents", headers={"Authorization": f"Bearer {token}"})
            assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})
            assert response.headers["retry-after"] == "5"
            assert "x-pid" not in response.headers
        assert invocations(directory) == before + 2

    def test_an_open_route_needs_no_token_and_ignores_a_bad_one(self, client: httpx.Client, directory: Path) -> None:
        before = invocations(directory)
        for path in ("/", "/api/v1/health", "/openapi.json", "/api/v1/openapi.json"):
            assert client.get(path, headers={"Authorization": "Bearer bad"}).status_code == 200
        assert invocations(directory) == before

    def test_another_method_of_an_open_resource_needs_a_token(self, client: httpx.Client) -> None:
        assert client.put("/api/v1/health").status_code == 401
        assert client.put("/api/v1/health", headers=GOOD).status_code == 200
