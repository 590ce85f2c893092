"""Tests pages of other origins: their preflights, and their access to the gateway's own answers."""

from pathlib import Path

import httpx
import pytest

from tests.support.stack.misbehaving import GOOD, invocations, started

PAGE = {"Origin": "http://localhost:5173"}


class TestCors:
    """Pages of other origins."""

    def preflight(self, client: httpx.Client, path: str, **changes: str) -> httpx.Response:
        asked = {
            **PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key,content-type,prefer",
        }
        headers = asked | {name.replace("_", "-"): value for name, value in changes.items()}
        return client.options(path, headers=headers)

    @pytest.mark.parametrize("path", ["/api/v1/sessions/x/turns", "/api/v1/agents", "/v1/chat/completions", "/mcp"])
    def test_a_preflight_is_answered_without_a_token_or_a_function(
        self, client: httpx.Client, directory: Path, path: str
    ) -> None:
        before = invocations(directory)
        response = self.preflight(client, path)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == PAGE["Origin"]
        assert "POST" in response.headers["access-control-allow-methods"]
        assert "authorization" in response.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in response.headers
        assert "x-pid" not in response.headers
        assert invocations(directory) == before

    @pytest.mark.parametrize(
        "changes",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Access_Control_Request_Method": "TRACE"},
            {"Access_Control_Request_Headers": "x-another"},
        ],
        ids=str,
    )
    def test_a_preflight_for_anything_else_is_refused(self, client: httpx.Client, changes: dict[str, str]) -> None:
        response = self.preflight(client, "/api/v1/agents", **changes)
        assert response.status_code == 400
        if "Origin" in changes:
            assert "access-control-allow-origin" not in response.headers

    def test_a_preflight_of_an_unknown_path_is_404(self, client: httpx.Client) -> None:
        assert self.preflight(client, "/no/such/thing").status_code == 404

    def test_options_without_an_origin_is_routed_like_other_methods(self, client: httpx.Client) -> None:
        assert client.options("/api/v1/agents").status_code == 401
        assert client.options("/api/v1/agents", headers=PAGE).status_code == 401
        without_page = {"Access-Control-Request-Method": "POST"}
        assert client.options("/api/v1/agents", headers=without_page).status_code == 401
        assert client.options("/api/v1/agents", headers=GOOD).headers["x-pid"]

    @pytest.mark.parametrize(
        ("path", "headers", "status"),
        [
            ("/no/such/thing", {}, 404),
            ("/api/v1/agents", {}, 401),
            ("/api/v1/agents", {"Authorization": "Bearer bad"}, 401),
            ("/api/v1/agents", {"Authorization": "Bearer fail"}, 503),
            ("/api/v1/fail", GOOD, 502),
        ],
    )
    def test_a_page_may_read_what_the_gateway_refuses(
        self, client: httpx.Client, path: str, headers: dict[str, str], status: int
    ) -> None:
        response = client.get(path, headers=PAGE | headers)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == "*"
        exposed = response.headers["access-control-expose-headers"]
        assert exposed == "Location, Link, Retry-After, ETag, Idempotency-Replayed, X-Should-Retry"

    def test_without_origins_no_page_may_read_anything(self, tmp_path: Path) -> None:
        with started(tmp_path, None) as gateway, httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}") as client:
            response = client.get("/api/v1/agents", headers=PAGE)
            assert "access-control-allow-origin" not in response.headers
            refused = self.preflight(client, "/api/v1/agents")
            assert (refused.status_code, refused.headers.get("access-control-allow-origin")) == (400, None)
