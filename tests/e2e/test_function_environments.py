"""Tests the environments of a running stack's processes: each has its own secrets, and none has the user's."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local import database
from local.stack import Stack
from shared.names import Role
from tests.support.processes import family_of
from tests.support.stack.tenant import API_KEY, CANARY, Tenant, open_client

ROLES = {
    "authorizer": Role.AUTH,
    "api": Role.APP,
    "turns": Role.APP,
    "worker": Role.APP,
    "sweeper": Role.OPS,
    "admin": Role.OPERATOR,
}
ASK = {"turns", "worker"}


@pytest.fixture
def environments(stack: Stack, tenant: Tenant, session_id: str) -> list[tuple[str, str]]:
    """The name and environment of each process of each function, after a turn that used several."""
    tenant.take(session_id, "@writer hello")
    with open_client(stack.url, stack.token(roles=("operator",))) as operator:
        # Its first request starts its function.
        assert operator.get("admin/turns").status_code == 200
    return list(of_functions())


def of_functions() -> Iterator[tuple[str, str]]:
    for pid in family_of(os.getpid()):
        with suppress(FileNotFoundError, ProcessLookupError):
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "local.gateway.worker" in arguments:
                yield arguments[-3], Path(f"/proc/{pid}/environ").read_text()


def password_of(stack: Stack, role: Role) -> str:
    password = urlsplit(database.role_url(stack.owner_url, role)).password
    assert password
    return password


def test_every_function_has_a_process_and_some_have_workers(environments: list[tuple[str, str]]) -> None:
    """Without them, the other tests would prove nothing."""
    assert {name for name, _ in environments} == set(ROLES)
    assert len(environments) > len(ROLES)


def test_no_function_sees_the_users_environment_or_the_owners_password(
    stack: Stack, environments: list[tuple[str, str]]
) -> None:
    owner = urlsplit(stack.owner_url).password
    assert owner
    assert [name for name, environ in environments if CANARY in environ or owner in environ] == []


def test_a_function_sees_the_password_of_its_own_role_alone(stack: Stack, environments: list[tuple[str, str]]) -> None:
    for name, environ in environments:
        assert {role for role in Role if password_of(stack, role) in environ} == {ROLES[name]}, name


def test_only_functions_that_ask_models_see_the_providers_key(environments: list[tuple[str, str]]) -> None:
    assert {name for name, environ in environments if API_KEY in environ} == ASK
