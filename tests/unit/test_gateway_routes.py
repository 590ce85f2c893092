"""Tests how the local gateway finds the route of a request."""

import pytest

from local.gateway.routes import find
from shared.names import ROUTES, Route

TURNS = "/api/v1/sessions/{session_id}/turns"


@pytest.mark.parametrize(
    ("method", "path", "resource", "function", "is_open"),
    [
        ("POST", "/api/v1/sessions/x/turns", TURNS, "turns", False),
        ("POST", "/api/v1/sessions/x/turns/", TURNS, "turns", False),
        ("GET", "/api/v1/sessions/x/turns", TURNS, "api", False),
        ("POST", "/api/v1/sessions/a%2Fb/turns", TURNS, "turns", False),
        ("POST", "/api/v1/sessions/x/turns/y", f"{TURNS}/{{proxy+}}", "api", False),
        ("POST", "/api/v1/sessions/x/y/turns", "/api/v1/sessions/{session_id}/{proxy+}", "api", False),
        ("GET", "/api/v1/sessions/x", "/api/v1/sessions/{session_id}", "api", False),
        ("GET", "/api/v1/sessions", "/api/v1/sessions", "api", False),
        ("GET", "/api/v1/health", "/api/v1/health", "api", True),
        ("HEAD", "/api/v1/health", "/api/v1/health", "api", False),
        ("PUT", "/api/v1/health", "/api/v1/health", "api", False),
        ("GET", "/api/v1/health/x", "/api/v1/health/{proxy+}", "api", False),
        ("GET", "/api/v1/he%61lth", "/api/v1/{proxy+}", "api", False),
        ("GET", "/api/v1/healthy", "/api/v1/{proxy+}", "api", False),
        ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "api", True),
        ("PUT", "/api/v1/admin/tenants/x/cap", "/api/v1/admin/{proxy+}", "admin", False),
        ("GET", "/api/v1/admin", "/api/v1/admin", "api", False),
        ("GET", "/api/v1/administrator", "/api/v1/{proxy+}", "api", False),
        ("GET", "/api/v1//x", "/api/v1/{proxy+}", "api", False),
        ("GET", "/api/v1/{proxy+}", "/api/v1/{proxy+}", "api", False),
        ("DELETE", "/api/v1/agents/a%0Ab", "/api/v1/{proxy+}", "api", False),
        ("POST", "/v1/chat/completions", "/v1/chat/completions", "turns", False),
        ("GET", "/v1/chat/completions", "/v1/chat/completions", "api", False),
        ("POST", "/v1/chat/completions/x", "/v1/chat/completions/{proxy+}", "api", False),
        ("HEAD", "/v1/models", "/v1/{proxy+}", "api", False),
        ("POST", "/v1/responses", "/v1/{proxy+}", "api", False),
        ("DELETE", "/mcp", "/mcp", "turns", False),
        ("GET", "/openapi.json", "/openapi.json", "api", True),
        ("GET", "/", "/", "api", True),
        ("GET", "", "/", "api", True),
        ("HEAD", "/", "/", "api", True),
        ("GET", "/console", "/console", "api", True),
        ("GET", "/console/", "/console", "api", True),
        ("HEAD", "/console/config.json", "/console/{proxy+}", "api", True),
        ("GET", "/console/assets/index-a1b2.js", "/console/{proxy+}", "api", True),
        ("GET", "/docs", "/docs", "api", True),
        ("HEAD", "/docs/assets/redoc-a1b2.js", "/docs/{proxy+}", "api", True),
    ],
)
def test_a_request_takes_the_most_specific_route(
    method: str, path: str, resource: str, function: str, is_open: bool
) -> None:
    found = find(method, path)
    assert found
    assert (found[0].path, found[0].function, found[0].is_open) == (resource, function, is_open)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/api"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/"),
        ("GET", "/api/v2/agents"),
        ("POST", "/console/"),
        ("PUT", "/console/assets/index-a1b2.js"),
        ("GET", "/consoles"),
        ("POST", "/docs/"),
        ("GET", "/API/v1/agents"),
        ("GET", "/openapi_json"),
        ("POST", "/openapi.json"),
        ("GET", "/v1"),
        ("GET", "/mcp/x"),
        ("GET", "//api/v1/agents"),
        ("POST", "/api/v1/sessions//turns"),
        ("GET", "/live/api/v1/agents"),
        ("GET", "/%2e%2e/api/v1/health"),
        ("GET", "*"),
        ("GET", "api/v1/health"),
    ],
)
def test_path_without_a_resource_has_no_route(method: str, path: str) -> None:
    assert find(method, path) is None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_listed_route_is_found_by_its_path(route: Route) -> None:
    method = "GET" if route.method == "ANY" else route.method
    path = route.path.replace("{proxy+}", "a/b").replace("{session_id}", "1")
    found = find(method, path)
    assert found
    assert found[0] == route


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/sessions/a%20b/turns", {"session_id": "a%20b"}),
        ("/api/v1/sessions/{session_id}/turns", {"session_id": "{session_id}"}),
        ("/api/v1/sessions/x/y/z/", {"session_id": "x", "proxy": "y/z"}),
        ("/api/v1/agents/a%2Fb", {"proxy": "agents/a%2Fb"}),
        ("/mcp", {}),
    ],
)
def test_parameters_are_the_undecoded_parts_of_the_path(path: str, parameters: dict[str, str]) -> None:
    found = find("POST", path)
    assert found
    assert found[1] == parameters
