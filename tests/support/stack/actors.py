"""Lists the callers that may or may not see a session of a tenant, each with its client."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

import httpx
import pytest

from local.stack import Stack
from tests.support.stack.tenant import Tenant, open_client

# The creator is a plain member. The operator has no role in the tenant, and is a member like any other. The foreigner
# is the admin of another tenant. The last two use API keys: the creator's, and a key of the admin with the role member.
ACTORS: Final = ("creator", "colleague", "admin", "foreigner", "operator", "creator's key", "admin's lesser key")
# It is in every text of a session.
WORD: Final = "sesame"

Actors = Mapping[str, httpx.Client]


@pytest.fixture
def actors(stack: Stack, tenant: Tenant) -> Iterator[Actors]:
    """A client for each of ACTORS."""
    tokens = {
        "creator": stack.token(tenant=tenant.id, user="ada", roles=("member",)),
        "colleague": stack.token(tenant=tenant.id, user="bob", roles=("member",)),
        "admin": stack.token(tenant=tenant.id, user="root", roles=("admin",)),
        "foreigner": stack.token(tenant=f"not-{tenant.id}", user="ada", roles=("member", "admin")),
        "operator": stack.token(tenant=tenant.id, user="olga", roles=("operator",)),
    }
    with ExitStack() as clients:
        opened = {name: clients.enter_context(open_client(stack.url, token)) for name, token in tokens.items()}
        for name, maker in (("creator's key", "creator"), ("admin's lesser key", "admin")):
            key = opened[maker].post("api-keys", json={"name": "CI", "role": "member"}).json()["key"]
            opened[name] = clients.enter_context(open_client(stack.url, key))
        tenant.make_agents("writer")
        yield opened


def make_session(http: httpx.Client, visibility: str) -> str:
    body = {"title": f"About {WORD}", "mode": "tag", "agent_keys": ["writer"], "visibility": visibility}
    made = http.post("sessions", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def post(http: httpx.Client, session_id: str, message: str = f"@writer {WORD}", **headers: str) -> httpx.Response:
    return http.post(f"sessions/{session_id}/turns", json={"message": message}, headers=headers)
