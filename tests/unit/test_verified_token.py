"""Tests how the claims of a verified token are read: user, tenant, roles and times."""

import json
import time
from typing import Any

import pytest

from shared.identity.key_set import KeySet
from shared.identity.token import MAX_LENGTH, Identity, InvalidToken, verify
from shared.settings import AuthorizerSettings
from tests.support.issuer import AUDIENCE, ISSUER, Issuer

OURS = Issuer("first")
KEYS = KeySet(lambda: OURS.key_set)
VALUES = {
    "PANTHEON_JWT_ISSUER": ISSUER,
    "PANTHEON_JWT_AUDIENCE": AUDIENCE,
    "PANTHEON_JWKS_URL": "file:///nowhere.json",
    "PANTHEON_AUTH_DATABASE_URL": "",
    "PANTHEON_OPERATOR_ROLE": "operator",
}


def identity(settings: dict[str, str] | None = None, **claims: Any) -> Identity:
    return verify(OURS.token(**claims), KEYS, AuthorizerSettings.model_validate(VALUES | (settings or {})))


def refusal(settings: dict[str, str] | None = None, **claims: Any) -> str:
    with pytest.raises(InvalidToken) as refused:
        identity(settings, **claims)
    return str(refused.value)


def alike(role: str) -> list[object]:
    """Group names that look like a role, or that a careless reader would take for one."""
    return [
        role.upper(),
        role.title(),
        role.swapcase(),
        f" {role}",
        f"{role} ",
        f"{role}\t",
        f"{role}\n",
        f"{role}\0",
        f"{role}\u00a0",
        f"{role}\u200b",
        f"\u202e{role[::-1]}",
        f"{role}\u0301",
        role.replace("e", "\u0435").replace("a", "\u0430"),
        "".join(chr(ord(letter) + 0xFEE0) for letter in role),
        f'"{role}"',
        f"[{role}]",
        f"{role},{role}",
        f"crane {role}",
        f"{role} crane",
        f"{role};x",
        f"{role}s",
        role[:-1],
        f"cognito:{role}",
        f"%{ord(role[0]):02x}{role[1:]}",
        json.dumps([role]),
        [role],
        {role: True},
        {"role": role},
    ]


LOOKALIKES = [form for role in ("member", "admin", "operator") for form in alike(role)]


def test_lookalikes_are_84() -> None:
    assert len(LOOKALIKES) == 84


@pytest.mark.parametrize("form", LOOKALIKES, ids=ascii)
def test_lookalike_of_a_role_is_ignored(form: object) -> None:
    assert identity(roles=[form]).roles == ("member",)
    assert identity(roles=[form, "admin"]).roles == ("admin",)


@pytest.mark.parametrize(
    "claim", ["admin", "admin operator", "admin,operator", "[admin]", "", None, 1, True, {"admin": 1}]
)
def test_claim_that_is_not_a_list_has_no_role(claim: object) -> None:
    assert identity(roles=claim).roles == ("member",)


def test_roles_are_the_distinct_strings_of_the_list() -> None:
    assert identity(roles=["operator", "admin", "pilots", "admin"]).roles == ("operator", "admin")
    assert identity(roles=["pilots", None, 7, []]).roles == ("member",)
    assert identity(roles=...).roles == ("member",)


def test_the_operators_role_and_the_claims_are_settings() -> None:
    settings = {"PANTHEON_OPERATOR_ROLE": "pantheon:operator", "PANTHEON_TENANT_CLAIM": "custom:tenant_id"}
    settings |= {"PANTHEON_ROLES_CLAIM": "cognito:groups"}
    claims: dict[str, Any] = {"custom:tenant_id": "globex", "roles": ["admin"]}
    claims["cognito:groups"] = ["operator", "pantheon:operator"]
    found = identity(settings, **claims)
    assert (found.tenant, found.roles) == ("globex", ("pantheon:operator",))


@pytest.mark.parametrize("tenant", [..., None, ""])
def test_without_a_tenant_a_token_is_refused(tenant: object) -> None:
    assert refusal(tenant_id=tenant) == "The token names no tenant."


@pytest.mark.parametrize("tenant", [..., None, ""])
def test_user_without_a_tenant_gets_one_when_the_deployment_allows_it(tenant: object) -> None:
    assert identity({"PANTHEON_TENANT_OF_ONE": "true"}, tenant_id=tenant).tenant == "user:ada"


def test_tenant_of_one_user_has_a_name_that_the_budget_api_accepts() -> None:
    alone = {"PANTHEON_TENANT_OF_ONE": "true"}
    assert len(identity(alone, sub="x" * 250, tenant_id=...).tenant) == 255
    assert refusal(alone, sub="x" * 251, tenant_id=...) == "The name of the user is too long."


@pytest.mark.parametrize("alone", ["true", "false"])
@pytest.mark.parametrize(
    "tenant",
    [
        *("user:eve", "user:", "x" * 256, "acme\n", "ac\x00me", "acme\x85", "acme\u2028", "acme\u3164", " \t"),
        *(["acme"], {"id": "acme"}, 7, True),
    ],
    ids=ascii,
)
def test_tenant_of_another_form_is_refused(tenant: object, alone: str) -> None:
    assert refusal({"PANTHEON_TENANT_OF_ONE": alone}, tenant_id=tenant) == "The token names no tenant."


@pytest.mark.parametrize(
    "user", ["", "x" * 256, "ada\n", "a\x00da", "ada\x7f", "ada\x9b", "ada\u2028", "ada\u202e", "ada\ufe0f"]
)
def test_user_of_another_form_is_refused(user: str) -> None:
    assert refusal(sub=user) == "The token names no user."


@pytest.mark.parametrize("user", [..., None, 1, ["ada"]])
def test_a_token_without_a_user_is_refused(user: object) -> None:
    assert "sub" in refusal(sub=user) or refusal(sub=user) == "The token names no user."


@pytest.mark.parametrize("use", ["access", "refresh", "", None, ["id"]])
def test_access_token_of_cognito_is_refused(use: object) -> None:
    assert refusal(token_use=use) == "The token is not an ID token."
    assert identity(token_use="id").user == "ada"


def test_client_id_does_not_replace_the_audience() -> None:
    assert "aud" in refusal(aud=..., client_id=AUDIENCE)


def test_token_is_accepted_within_a_minute_of_clock_difference() -> None:
    now = int(time.time())
    assert identity(exp=now - 55, nbf=now - 600).user == "ada"
    assert identity(nbf=now + 55, iat=now + 55).user == "ada"
    assert refusal(exp=now - 61) == "The token has expired."
    assert refusal(nbf=now + 65) == "The token is not valid yet."
    assert refusal(iat=now + 65) == "The token is not valid yet."


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("moment", [True, "9999999999", [9_999_999_999], {}, None])
def test_time_that_is_not_a_number_is_refused(name: str, moment: object) -> None:
    changes: dict[str, Any] = {name: moment}
    assert "token" in refusal(**changes).lower()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://elsewhere.example"}, "The token is from another issuer."),
        ({"iss": f"{ISSUER}/"}, "The token is from another issuer."),
        ({"aud": "another"}, "The token is for another audience."),
        ({"aud": ["another", "others"]}, "The token is for another audience."),
        ({"exp": ...}, "The token lacks one of the claims exp, iss, aud and sub."),
    ],
    ids=str,
)
def test_refusal_has_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert refusal(**changes) == reason


def test_token_with_our_audience_among_several_is_accepted() -> None:
    assert identity(aud=["another", AUDIENCE]).user == "ada"


@pytest.mark.parametrize("email", [None, 7, ["ada@example.org"], "x" * 256, "ada\n@example.org"])
def test_invalid_email_address_is_left_out(email: object) -> None:
    assert identity(email=email).email is None


def test_unknown_key_is_reported_and_a_long_token_is_not_parsed() -> None:
    stranger = Issuer("other")
    values = AuthorizerSettings.model_validate(VALUES)
    with pytest.raises(InvalidToken, match="unknown key"):
        verify(stranger.token(), KEYS, values)
    with pytest.raises(InvalidToken, match="malformed"):
        verify(OURS.token(padding="x" * MAX_LENGTH), KEYS, values)
    impostor = Issuer("first")
    with pytest.raises(InvalidToken, match="signature"):
        verify(impostor.token(), KEYS, values)
