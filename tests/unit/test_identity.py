"""Who is calling: what the claims of a verified token are believed, and what they are not."""

from typing import Any

import pytest

from local.gateway.worker import LambdaContext
from shared.names import Env
from tests.unit.gateway import Handler, body_of, problem_of, request, with_claims


def test_the_caller_is_what_the_verified_claims_say(api: Handler, context: LambdaContext) -> None:
    assert body_of(api(with_claims(), context)) == {
        "user_id": "7d3e1f52-8a4b-4c6d-9e0f-102030405060",
        "tenant_id": "acme",
        "email": "ada@example.org",
        "roles": ["admin", "member"],
    }


@pytest.mark.parametrize("tenant", [None, ""])
def test_without_a_tenant_a_caller_is_alone(api: Handler, context: LambdaContext, tenant: str | None) -> None:
    me = body_of(api(with_claims(tenant_id=tenant, email=None, sub="ada"), context))
    assert (me["tenant_id"], me["email"]) == ("user:ada", None)


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        ("[admin member]", ["admin", "member"]),
        ("[admin]", ["admin"]),
        ("admin", ["admin"]),
        ("admin member", ["admin", "member"]),
        ("admin,member", ["admin", "member"]),
        ("admin, operator", ["admin", "operator"]),
        ("[admin admin]", ["admin"]),
        ("[eu-central-1_Google operator Admin]", ["operator"]),
        ("[sales,admin]", ["member"]),
        ("[superuser]", ["member"]),
        ("[]", ["member"]),
        ("", ["member"]),
        (None, ["member"]),
    ],
)
def test_roles_come_as_one_string(api: Handler, context: LambdaContext, claim: str | None, roles: list[str]) -> None:
    assert body_of(api(with_claims(roles=claim), context))["roles"] == roles


def test_the_names_of_the_claims_are_settings(
    api: Handler, context: LambdaContext, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(Env.TENANT_CLAIM, "custom:tenant")
    environment.setenv(Env.ROLES_CLAIM, "cognito:groups")
    me = body_of(api(with_claims(**{"custom:tenant": "globex", "cognito:groups": "[operator]"}), context))
    assert (me["tenant_id"], me["roles"]) == ("globex", ["operator"])


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": None, "client_id": "6v2f0council1client5example"},
        {"aud": "[6v2f0council1client5example another]"},
        {"aud": "[another 6v2f0council1client5example]"},
    ],
    ids=["access token", "first of two", "second of two"],
)
def test_the_audience_is_found_as_api_gateway_finds_it(
    api: Handler, context: LambdaContext, claims: dict[str, str | None]
) -> None:
    """A Cognito access token names its client only, and an audience of several arrives as one string."""
    assert api(with_claims(**claims), context)["statusCode"] == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://example.org"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": None, "client_id": "another"},
        {"aud": "another", "client_id": "6v2f0council1client5example"},
        {"aud": "", "client_id": "6v2f0council1client5example"},
        {"aud": "[]", "client_id": "6v2f0council1client5example"},
        {"aud": "[another]"},
        {"aud": "6v2f0council1client5"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "ada\n"},
        {"sub": "a\x00da"},
        {"sub": "ada\x7f"},
        {"sub": "ada\x9b"},
        {"sub": "ada\u2028"},
        {"sub": "ada\ud800"},
        {"tenant_id": "x" * 256},
        {"tenant_id": "acme\n"},
        {"tenant_id": "ac\x00me"},
        {"tenant_id": "acme\x85"},
        {"tenant_id": "acme\udfff"},
        {"tenant_id": "user:ada"},
        {"tenant_id": "user:"},
        {"tenant_id": "[acme]"},
        {"tenant_id": "[acme globex]"},
        {"tenant_id": "[]"},
        {"tenant_id": "map[id:acme]"},
        {"tenant_id": "<nil>"},
        {"sub": "[ada]"},
        {"sub": "map[]"},
        {"sub": "<nil>"},
    ],
    ids=str,
)
def test_claims_that_are_not_ours_or_name_nobody_are_401(
    api: Handler, context: LambdaContext, claims: dict[str, str | None]
) -> None:
    problem_of(api(with_claims(**claims), context), 401, "unauthorized")


@pytest.mark.parametrize("authorizer", [None, {}, {"jwt": {}}, {"jwt": {"claims": None}}, {"lambda": {}}], ids=str)
@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/models", "/api/v1/agents", "/api/v1/sessions/1"])
def test_without_a_verified_token_there_is_nobody(
    api: Handler, context: LambdaContext, path: str, authorizer: dict[str, Any] | None
) -> None:
    asked = request("GET", path)
    asked["requestContext"]["authorizer"] = authorizer
    if authorizer is None:
        del asked["requestContext"]["authorizer"]
    problem_of(api(asked, context), 401, "unauthorized")
