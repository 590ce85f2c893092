"""Tests that a function takes its caller only from the authorizer's context."""

from typing import Any

import pytest

from local.gateway.worker import LambdaContext
from shared.names import CALLER_FIELDS, Env
from tests.support.gateway import Handler, as_caller, body_of, problem_of, request


def test_caller_has_the_fields_of_the_authorizers_context(api: Handler, context: LambdaContext) -> None:
    assert body_of(api(as_caller(), context)) == {
        "user_id": "7d3e1f52-8a4b-4c6d-9e0f-102030405060",
        "tenant_id": "acme",
        "email": "ada@example.org",
        "roles": ["admin", "member"],
    }


def test_a_caller_by_api_key_has_no_address(api: Handler, context: LambdaContext) -> None:
    me = body_of(api(as_caller(key_id="019b7c8e-0000-7000-8000-00000000000a", email=""), context))
    assert me["email"] is None


def test_role_is_compared_as_a_whole_string(api: Handler, context: LambdaContext) -> None:
    assert body_of(api(as_caller(roles='["crane operator"]'), context))["roles"] == ["crane operator"]


@pytest.mark.parametrize("roles", ['["crane operator"]', '["operator"]', '["admin operator"]', '["member", "admin"]'])
def test_only_the_configured_role_is_an_operator(
    admin: Handler, context: LambdaContext, environment: pytest.MonkeyPatch, roles: str
) -> None:
    environment.setenv(Env.OPERATOR_ROLE, "pantheon:operator")
    asked = request("GET", "/api/v1/admin/platform/budget")
    asked["requestContext"]["authorizer"]["roles"] = roles
    problem_of(admin(asked, context), 403, "forbidden")


@pytest.mark.parametrize("operator_role", ["pantheon:operator", "ops"])
def test_the_name_of_the_operators_role_is_a_setting(
    admin: Handler, context: LambdaContext, environment: pytest.MonkeyPatch, operator_role: str
) -> None:
    environment.setenv(Env.OPERATOR_ROLE, operator_role)
    asked = request("GET", "/api/v1/admin/platform/budget")
    asked["requestContext"]["authorizer"]["roles"] = f'["{operator_role}"]'
    environment.setenv(Env.OPERATOR_DATABASE_URL, "postgresql://pantheon_operator@127.0.0.1:1/none")
    # The test has no database: the request got past the role.
    problem_of(admin(asked, context), 503, "database_unavailable")


@pytest.mark.parametrize("field", CALLER_FIELDS)
def test_caller_without_a_required_field_is_401(api: Handler, context: LambdaContext, field: str) -> None:
    problem_of(api(as_caller(**{field: None}), context), 401, "unauthorized")


_HTTP_API = {"jwt": {"claims": {"sub": "ada", "tenant_id": "acme", "roles": "[operator]"}, "scopes": None}}


@pytest.mark.parametrize("authorizer", [None, {}, {"claims": {"sub": "ada"}}, _HTTP_API], ids=str)
@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/models", "/api/v1/agents", "/api/v1/sessions/1"])
def test_request_without_the_authorizers_context_is_refused(
    api: Handler, context: LambdaContext, path: str, authorizer: dict[str, Any] | None
) -> None:
    asked = request("GET", path)
    asked["requestContext"]["authorizer"] = authorizer
    if authorizer is None:
        del asked["requestContext"]["authorizer"]
    problem_of(api(asked, context), 401, "unauthorized")


@pytest.mark.parametrize("header", ["x-amzn-request-context", "x-pantheon-user", "authorization", "user", "tenant"])
def test_caller_is_not_changed_by_headers(api: Handler, context: LambdaContext, header: str) -> None:
    claimed = '{"authorizer": {"user": "eve", "tenant": "globex", "roles": "[]", "key_id": "", "email": ""}}'
    asked = request("GET", "/api/v1/auth/me", headers={header: claimed})
    assert body_of(api(asked, context))["tenant_id"] == "acme"
    del asked["requestContext"]["authorizer"]
    problem_of(api(asked, context), 401, "unauthorized")
