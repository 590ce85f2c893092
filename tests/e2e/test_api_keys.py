"""Tests API keys over HTTP: made once, used like a token, listed and revoked. A key makes no other key."""

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.e2e.test_cli import environ as environ  # noqa: PLC0414 a fixture
from tests.e2e.test_cli import pantheon
from tests.support.stack.tenant import Tenant, open_client

FIELDS = ("id", "name", "role", "prefix", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")


def make(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("api-keys", json={"name": "CI"} | body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


def ask_who(stack: Stack, credential: str) -> httpx.Response:
    return httpx.get(f"{stack.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {credential}"})


@pytest.fixture
def member(stack: Stack, tenant: Tenant) -> Iterator[httpx.Client]:
    with open_client(stack.url, stack.token(tenant=tenant.id, user="ada", roles=("member",))) as http:
        yield http


def test_a_key_is_shown_once_and_acts_as_its_creator(stack: Stack, tenant: Tenant, member: httpx.Client) -> None:
    made = make(member)
    assert set(made) == {*FIELDS, "key"}
    assert re.fullmatch(r"pan_[0-9A-Za-z]{43}", made["key"])
    assert made["key"].startswith(made["prefix"])
    (listed,) = member.get("api-keys").json()["items"]
    assert set(listed) == set(FIELDS)
    with open_client(stack.url, made["key"]) as by_key:
        me = by_key.get("auth/me").json()
    assert me == {"user_id": "ada", "tenant_id": tenant.id, "email": None, "roles": ["member"]}


def test_a_turn_by_a_key_is_counted_for_the_key_and_its_creator(stack: Stack, tenant: Tenant, session_id: str) -> None:
    made = make(tenant.http, role="admin")
    with open_client(stack.url, made["key"]) as by_key:
        posted = by_key.post(f"sessions/{session_id}/turns", json={"message": "@writer hello"})
        assert posted.status_code == 201
    tenant.take(session_id, "@writer hello")
    used = tenant.http.get("usage", params={"group_by": "user_id,api_key_id"}).json()["items"]
    assert {(row["user_id"], row["api_key_id"]): row["calls"] for row in used} == {
        ("demo", made["id"]): 1,
        ("demo", None): 1,
    }
    newest, oldest = tenant.http.get("usage/calls").json()["items"]
    assert (newest["user_id"], newest["api_key_id"]) == ("demo", None)
    assert (oldest["user_id"], oldest["api_key_id"]) == ("demo", made["id"])
    (listed,) = tenant.http.get("api-keys").json()["items"]
    assert listed["last_used_at"] is not None


def test_a_key_makes_lists_and_revokes_no_keys(stack: Stack, tenant: Tenant) -> None:
    made = make(tenant.http, role="admin")
    with open_client(stack.url, made["key"]) as by_key:
        answers = [
            by_key.post("api-keys", json={"name": "another"}),
            by_key.get("api-keys"),
            by_key.delete(f"api-keys/{made['id']}"),
        ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "forbidden")] * 3


def test_a_revoked_key_is_refused(stack: Stack, tenant: Tenant) -> None:
    """The gateway caches an answer for a minute, so this key is first used after it was revoked."""
    made = make(tenant.http)
    assert tenant.http.delete(f"api-keys/{made['id']}").status_code == 204
    assert tenant.http.delete(f"api-keys/{made['id']}").status_code == 204
    answer = ask_who(stack, made["key"])
    assert (answer.status_code, answer.json()) == (401, {"message": "The API key is unknown, revoked or expired."})
    (listed,) = tenant.http.get("api-keys").json()["items"]
    assert listed["revoked_at"] is not None


def test_a_key_expires(stack: Stack, tenant: Tenant) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    made = make(tenant.http, expires_at=soon.isoformat())
    tenant.owner.execute(b"UPDATE api_keys SET expires_at = now() WHERE id = %s", [made["id"]])
    assert ask_who(stack, made["key"]).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "CI", "role": "operator"}, 422),
        ({"name": "CI", "role": "Admin"}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 201}, 422),
        ({}, 422),
        ({"name": "CI", "key": "pan_mine"}, 422),
        ({"name": "CI", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "CI", "expires_at": "2099-01-01T00:00:00"}, 422),
        ({"name": "CI", "expires_at": "tomorrow"}, 422),
        ({"name": "CI", "role": "admin"}, 403),
    ],
    ids=str,
)
def test_invalid_key_is_refused(member: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert member.post("api-keys", json=body).status_code == status
    assert member.get("api-keys").json()["items"] == []


def test_a_member_sees_and_revokes_its_own_keys_and_an_admin_all(tenant: Tenant, member: httpx.Client) -> None:
    theirs, own = make(tenant.http), make(member)
    assert [key["id"] for key in member.get("api-keys").json()["items"]] == [own["id"]]
    assert {key["id"] for key in tenant.http.get("api-keys").json()["items"]} == {theirs["id"], own["id"]}
    assert member.delete(f"api-keys/{theirs['id']}").status_code == 404
    assert tenant.http.delete(f"api-keys/{own['id']}").status_code == 204


def test_keys_are_made_listed_and_revoked_by_the_command(stack: Stack, tenant: Tenant, environ: dict[str, str]) -> None:
    told = environ | {"PANTHEON_URL": stack.url, "PANTHEON_TOKEN": stack.token(tenant=tenant.id)}

    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        return pantheon(told, "keys", *arguments)

    made = keys("create", "CI of the [blue] team", "--role", "admin", "--expires-in", "90d")
    assert made.returncode == 0, made.stderr
    first, key = made.stdout.splitlines()
    (listed,) = tenant.http.get("api-keys").json()["items"]
    assert (listed["id"] in first, listed["role"], listed["name"]) == (True, "admin", "CI of the [blue] team")
    assert ask_who(stack, key).status_code == 200
    assert listed["prefix"] in keys("list").stdout
    assert keys("revoke", listed["id"]).returncode == 0
    assert tenant.http.get("api-keys").json()["items"][0]["revoked_at"] is not None
    missing = keys("revoke", "019b7c8e-0000-7000-8000-00000000000a")
    assert (missing.returncode, "404" in missing.stderr) == (1, True)
    nobody = pantheon(environ, "keys", "list", "--url", stack.url)
    assert (nobody.returncode, "PANTHEON_TOKEN" in nobody.stderr) == (1, True)
    silent = pantheon(told | {"PANTHEON_URL": "http://127.0.0.1:1"}, "keys", "list")
    assert (silent.returncode, silent.stderr.count("\n")) == (1, 1)
