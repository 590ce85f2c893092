"""Tests which callers see and change a tenant's session, at every operation of the document.

Put a new operation into TABLE if it names a session or a turn, into LISTS if it shows several, and else into OTHERS.
The tests fail until it is in one.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from tests.e2e.test_foreign_objects import NOBODYS, asked
from tests.support.stack.actors import ACTORS, WORD, Actors, make_session, post
from tests.support.stack.actors import actors as actors  # noqa: PLC0414 a fixture
from tests.support.stack.operations import OPERATIONS, Operation
from tests.support.stack.tenant import Tenant

_SEEN: Final = {
    "private": (200, 404, 200, 404, 404, 200, 404),
    "tenant": (200, 200, 200, 404, 200, 200, 200),
}
TABLE: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = {
    "GET sessions/{session_id}": _SEEN,
    "GET sessions/{session_id}/turns": _SEEN,
    "GET sessions/{session_id}/summaries": _SEEN,
    "GET sessions/{session_id}/archive": _SEEN,
    "GET sessions/{session_id}/export": _SEEN,
    "GET turns/{turn_id}": _SEEN,
    "GET turns/{turn_id}/events": _SEEN,
    "GET turns/{turn_id}/audit": _SEEN,
    "GET turns/{turn_id}/calls": _SEEN,
    "POST sessions/{session_id}/turns": {
        "private": (201, 404, 201, 404, 404, 201, 404),
        "tenant": (201, 201, 201, 404, 201, 201, 201),
    },
    # The creator's turn has ended. Only callers who may cancel it learn that.
    "POST turns/{turn_id}/cancel": {
        "private": (409, 404, 409, 404, 404, 409, 404),
        "tenant": (409, 403, 409, 404, 403, 409, 403),
    },
    "PATCH sessions/{session_id}": {
        "private": (200, 404, 200, 404, 404, 200, 404),
        "tenant": (200, 403, 200, 404, 403, 200, 403),
    },
    # It is the last one, because it deletes the session.
    "DELETE sessions/{session_id}": {
        "private": (204, 404, 204, 404, 404, 204, 404),
        "tenant": (204, 403, 204, 404, 403, 204, 403),
    },
}
LISTS: Final = {"GET sessions", "GET usage", "GET usage/calls"}
# They show and change no session or turn.
OTHERS: Final = {
    "POST sessions",
    *("GET agents", "POST agents", "GET agents/{key}", "PUT agents/{key}", "DELETE agents/{key}"),
    "GET agents/{key}/versions",
    *("GET councils", "POST councils", "GET councils/{council_key}", "PUT councils/{council_key}"),
    "DELETE councils/{council_key}",
    *("GET api-keys", "POST api-keys", "DELETE api-keys/{key_id}"),
    *("GET health", "GET auth/me", "GET models", "GET budget", "PUT budget"),
    *("GET admin/tenants/{tenant_id}/cap", "PUT admin/tenants/{tenant_id}/cap"),
    *("GET admin/platform/budget", "PUT admin/platform/budget", "GET admin/usage"),
    # They show the operator all tenants, without text.
    *("GET admin/turns", "GET admin/suspense"),
}
BY_NAME: Final = {str(each): each for each in OPERATIONS}
KINDS: Final = ("private", "tenant")


def talk(actors: Actors, visibility: str) -> dict[str, str]:
    """The creator's session, and its first turn."""
    session_id = make_session(actors["creator"], visibility)
    return {"session_id": session_id, "turn_id": str(post(actors["creator"], session_id).json()["id"])}


def ask(http: httpx.Client, operation: Operation, places: Mapping[str, str]) -> httpx.Response:
    body: dict[str, Any] = {}
    if operation.fields is not None:
        body = {"json": {name: value for name, value in operation.body().items() if name != "visibility"}}
    return http.request(operation.method, operation.path.format_map(places), **body)


def test_every_operation_has_its_place_here() -> None:
    assert TABLE.keys() | LISTS | OTHERS == BY_NAME.keys()
    assert len(TABLE) + len(LISTS) + len(OTHERS) == len(BY_NAME)
    about = {name for name, each in BY_NAME.items() if {"session_id", "turn_id"} & {*each.path_parameters}}
    assert about <= TABLE.keys()


@pytest.mark.parametrize("visibility", KINDS)
@pytest.mark.parametrize("actor", ACTORS)
def test_session_is_answered_by_the_callers_rights(actors: Actors, tenant: Tenant, actor: str, visibility: str) -> None:
    places, http = talk(actors, visibility), actors[actor]
    statuses = {}
    for name in TABLE:
        answer = ask(http, BY_NAME[name], places)
        statuses[name] = answer.status_code
        if answer.status_code in (403, 404):
            assert WORD not in answer.text, name
            assert places["session_id"] not in answer.text.replace(str(answer.request.url.path), ""), name
        if answer.status_code == 403:
            assert answer.json()["code"] == "forbidden"
            assert "admins" in answer.json()["detail"]
        if answer.status_code == 404:
            assert asked(http, BY_NAME[name], BY_NAME[name].method, places) == asked(
                http, BY_NAME[name], BY_NAME[name].method, NOBODYS
            )
    assert statuses == {name: expected[visibility][ACTORS.index(actor)] for name, expected in TABLE.items()}
    kept = tenant.row(
        "SELECT title, deleted_at IS NOT NULL AS deleted FROM sessions WHERE id = %s", places["session_id"]
    )
    gone = statuses["DELETE sessions/{session_id}"] == 204
    assert kept == {"title": "" if gone else f"About {WORD}", "deleted": gone}


def test_a_new_session_is_private_and_says_who_made_it(actors: Actors) -> None:
    made = actors["creator"].post("sessions", json={"agent_keys": ["writer"]}).json()
    assert (made["created_by"], made["visibility"]) == ("ada", "private")
    by_key = actors["creator's key"].post("sessions", json={"agent_keys": ["writer"], "visibility": "tenant"}).json()
    assert (by_key["created_by"], by_key["visibility"]) == ("ada", "tenant")
    refused = actors["creator"].post("sessions", json={"agent_keys": ["writer"], "visibility": "world"})
    assert refused.status_code == 422


@pytest.mark.parametrize("actor", ["creator", "admin"])
def test_a_session_is_shared_and_taken_back_by_its_visibility(actors: Actors, actor: str) -> None:
    places = talk(actors, "private")
    address = f"sessions/{places['session_id']}"
    for visibility, status in (("tenant", 200), ("private", 404)):
        changed = actors[actor].patch(address, json={"visibility": visibility})
        assert (changed.status_code, changed.json()["visibility"]) == (200, visibility)
        assert changed.json()["title"] == f"About {WORD}"
        assert actors["colleague"].get(address).status_code == status
        assert actors["colleague"].get(f"turns/{places['turn_id']}").status_code == status


def test_refusal_precedes_errors_of_the_body(actors: Actors) -> None:
    unknown = {"agent_keys": ["stranger"]}
    statuses = [
        actors[actor].patch(f"sessions/{make_session(actors['creator'], visibility)}", json=unknown).status_code
        for visibility in KINDS
        for actor in ("creator", "colleague")
    ]
    assert statuses == [422, 404, 422, 403]


def listed(http: httpx.Client, **query: object) -> list[str]:
    """Return the ids of all pages. Each page but the last is full."""
    found, params = list[str](), {"limit": 2, **query}
    while True:
        page = http.get("sessions", params=params).json()  # type: ignore[arg-type]
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == 2
        params["cursor"] = page["next_cursor"]


def test_a_list_of_sessions_holds_those_that_the_caller_sees(actors: Actors) -> None:
    made = [
        (owner, visibility, make_session(actors[owner], visibility))
        for _ in range(3)
        for owner in ("creator", "colleague")
        for visibility in KINDS
    ]
    for actor in ACTORS:
        user = {"creator's key": "creator", "admin's lesser key": "nobody"}.get(actor, actor)
        seen = [each for owner, visibility, each in made if user in (owner, "admin") or visibility == "tenant"]
        expected = [] if actor == "foreigner" else seen
        assert listed(actors[actor], order="asc") == expected, actor
        assert listed(actors[actor]) == expected[::-1], actor
