"""Tests that another tenant's object is answered like an object that does not exist, at every operation and method.

The operations are read from the API's document, so a new one is tested too. Give a new path parameter an object here;
without one the tests fail.
"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.operations import OPERATIONS, Operation
from tests.support.stack.tenant import Tenant, agent, open_client

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Ids and keys of no object, each in a valid form.
NOBODYS = {"key": "nobodys", "council_key": "nobodys-council"}
NOBODYS |= {name: str(uuid4()) for name in ("session_id", "turn_id", "key_id")}
# Operators name tenants, and their role keeps other users out.
_OPERATORS = "admin/"
ABOUT_OBJECTS = [each for each in OPERATIONS if each.path_parameters and not each.path.startswith(_OPERATORS)]
COLLECTIONS = [
    each
    for each in OPERATIONS
    if each.method == "GET" and each.secured and not each.path_parameters and not each.path.startswith(_OPERATORS)
]


@pytest.fixture
def theirs(tenant: Tenant, session_id: str) -> dict[str, str]:
    """The objects of another tenant: an agent, a council, a session, and a turn that has ended."""
    tenant.make_agents("theirs", name="Their own")
    tenant.make_council("their-council", "theirs", name="Their own")
    key_id = tenant.http.post("api-keys", json={"name": "Theirs"}).json()["id"]
    turn_id = tenant.take(session_id, "their words")["id"]
    places = {"key": "theirs", "council_key": "their-council", "session_id": session_id, "turn_id": turn_id}
    return places | {"key_id": key_id}


@pytest.fixture
def stranger(stack: Stack, tenant: Tenant) -> Iterator[httpx.Client]:
    """A user of another tenant with every role that a tenant can give, and with objects of its own."""
    with open_client(stack.url, stack.token(tenant=f"not-{tenant.id}")) as http:
        assert http.post("agents", json=agent("writer")).status_code == 201
        assert http.post("sessions", json={"title": "Mine", "agent_keys": ["writer"]}).status_code == 201
        yield http


def asked(http: httpx.Client, operation: Operation, method: str, places: dict[str, str]) -> tuple[object, ...]:
    """Return the answer without the parts that name the request or repeat its address."""
    body: dict[str, Any] = {"json": operation.body()} if operation.fields is not None else {}
    answer = http.request(method, operation.path.format_map(places), **body)
    told = answer.json() if answer.content else {}
    told.pop("request_id", None)
    text = str(told)
    for name in operation.path_parameters:
        text = text.replace(places[name], name)
    kept = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status_code, text, kept


def test_every_parameter_of_every_path_has_an_object() -> None:
    assert {name for operation in ABOUT_OBJECTS for name in operation.path_parameters} == NOBODYS.keys()


@pytest.mark.parametrize("operation", ABOUT_OBJECTS, ids=str)
def test_foreign_object_is_answered_like_a_missing_one(
    stranger: httpx.Client, tenant: Tenant, theirs: dict[str, str], operation: Operation
) -> None:
    before = everything(tenant)
    for method in METHODS:
        foreign = asked(stranger, operation, method, theirs)
        assert foreign == asked(stranger, operation, method, NOBODYS), method
        # PUT makes the stranger's own agent or council.
        absent = 201 if method == "PUT" and operation.path in ("agents/{key}", "councils/{council_key}") else 404
        assert method != operation.method or foreign[0] == absent
    assert everything(tenant) == before


def everything(tenant: Tenant) -> list[str]:
    """Return a tenant's objects, as its collections show them."""
    return [tenant.http.get(operation.path).text for operation in COLLECTIONS]


def test_foreign_running_turn_is_answered_like_a_missing_one(
    stranger: httpx.Client, tenant: Tenant, theirs: dict[str, str], provider: FakeProvider
) -> None:
    provider.add(moods.hold())
    body = {"message": "@writer their words"}
    posted = tenant.http.post(f"sessions/{theirs['session_id']}/turns", json=body, headers={"Prefer": "respond-async"})
    tenant.wait_for_requests(2)
    running = {**theirs, "turn_id": posted.json()["id"]}
    for operation in ABOUT_OBJECTS:
        foreign = asked(stranger, operation, operation.method, running)
        assert foreign == asked(stranger, operation, operation.method, NOBODYS), operation
    assert tenant.http.get(f"turns/{running['turn_id']}").json()["status"] == "running"


@pytest.mark.parametrize("operation", COLLECTIONS, ids=str)
def test_collection_shows_nothing_of_another_tenant(
    stranger: httpx.Client, tenant: Tenant, theirs: dict[str, str], operation: Operation
) -> None:
    """A parameter that names a foreign object shows nothing either."""
    queries = [{}, *({name: theirs[name]} for name in operation.query if name in theirs)]
    for query in queries:
        answer = stranger.get(operation.path, params=query)
        assert answer.status_code in (200, 403, 404)
        words = (*theirs.values(), tenant.id, "Their own", "their words")
        assert [word for word in words if word in answer.text.replace(f"not-{tenant.id}", "")] == []


def test_a_key_of_another_tenant_is_free(stranger: httpx.Client, tenant: Tenant, theirs: dict[str, str]) -> None:
    """Each tenant has its own Idempotency-Keys: a replay or a conflict tells nothing of another tenant's turn."""
    first = tenant.post(theirs["session_id"], "hello", key="the same")
    (session,) = stranger.get("sessions").json()["items"]
    headers = {"Idempotency-Key": "the same"}
    second = stranger.post(f"sessions/{session['id']}/turns", json={"message": "hello"}, headers=headers)
    assert (second.status_code, "Idempotency-Replayed" in second.headers) == (201, False)
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["turn_index"] == 1
