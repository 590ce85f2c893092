"""Tests the operator's lists of waiting turns and of calls in suspense: of every tenant, without text."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.admin import waiting
from functions.http import create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.pages import encode_cursor
from shared.db.engine import operator_database
from shared.domain.turn import format_time
from shared.names import API_PREFIX, Env, Role
from shared.settings import operator_settings
from tests.support.council_room import CouncilRoom, DatabaseUrls, Killed, answer, unknown
from tests.support.gateway import Handler, body_of, problem_of, request


@pytest.fixture
def admin(room: CouncilRoom, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handler]:
    """The two lists, without the role check of the application."""
    monkeypatch.setenv(Env.OPERATOR_DATABASE_URL, database_urls.of(Role.OPERATOR))
    app = create_app("Pantheon operations")
    app.include_router(waiting.router)
    for known in (operator_settings, operator_database):
        known.cache_clear()
    yield lambda_handler(app)
    operator_database().close()
    for known in (operator_settings, operator_database):
        known.cache_clear()


@pytest.fixture
def other(room: CouncilRoom) -> Iterator[CouncilRoom]:
    other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with other.databases:
        yield other


def ask(admin: Handler, path: str, query: str = "") -> dict[str, Any]:
    return admin(request("GET", f"{API_PREFIX}/admin/{path}", query=query), LambdaContext("admin", "invocation", 1e12))


def pages(admin: Handler, path: str, query: str) -> list[dict[str, Any]]:
    """Return all items, one a page."""
    items, cursor = list[dict[str, Any]](), ""
    while True:
        page = body_of(ask(admin, path, f"limit=1&{query}{cursor}"))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == 1
        cursor = f"&cursor={page['next_cursor']}"


def killed_after_a_step(room: CouncilRoom) -> UUID:
    def die(_: object) -> str:
        raise Killed

    room.provider.enqueue(answer(), die)
    return room.take_until_killed("@writer @critic hello")


def finish(*rooms: CouncilRoom) -> None:
    """End the waiting turns, because a room checks that none is left."""
    for room in rooms:
        for row in room.rows("SELECT id FROM turns WHERE completed_at IS NULL AND tenant_id = %s", room.tenant_id):
            room.resume(row["id"])


def test_waiting_turns_are_listed_oldest_first(admin: Handler, room: CouncilRoom, other: CouncilRoom) -> None:
    accepted = room.take("@writer a secret", later=True).turn_id
    abandoned = killed_after_a_step(other)
    first, second = pages(admin, "turns", "state=waiting")
    rows = {row["id"]: row for row in room.rows("SELECT id, session_id, created_at, lease_expires_at FROM turns")}
    assert first == {
        "id": str(accepted),
        "tenant_id": "tenant-1",
        "session_id": str(rows[accepted]["session_id"]),
        "status": "accepted",
        "created_at": format_time(rows[accepted]["created_at"]),
        "waits_since": format_time(rows[accepted]["created_at"]),
        "steps_finished": 0,
    }
    assert (second["id"], second["tenant_id"], second["status"]) == (str(abandoned), "tenant-2", "running")
    assert (second["steps_finished"], second["waits_since"]) == (1, format_time(rows[abandoned]["lease_expires_at"]))
    assert pages(admin, "turns", "order=desc") == [second, first]
    finish(room, other)
    assert pages(admin, "turns", "state=waiting") == []


def test_a_turn_that_runs_or_has_ended_does_not_wait(admin: Handler, room: CouncilRoom) -> None:
    seen: list[Any] = []

    def look(_: object) -> str:
        seen.append(pages(admin, "turns", ""))
        return "Roses."

    room.provider.enqueue(look)
    room.take("@writer hello")
    assert seen == [[]]
    assert pages(admin, "turns", "") == []


def test_calls_in_suspense_are_listed_the_oldest_first(admin: Handler, room: CouncilRoom, other: CouncilRoom) -> None:
    for each in (room, other):
        each.provider.enqueue(unknown(), answer())
        each.take("@writer a secret")
    rows = room.rows(
        """SELECT c.call_id, c.turn_id, c.tenant_id, c.reserve_usd, l.created_at FROM llm_calls c
           JOIN usage_ledger l USING (call_id) WHERE l.account = 'suspense' ORDER BY l.created_at"""
    )
    listed = pages(admin, "suspense", "")
    assert listed == [
        {
            "call_id": str(row["call_id"]),
            "tenant_id": row["tenant_id"],
            "turn_id": str(row["turn_id"]),
            "step": 0,
            "attempt": 1,
            "model_alias": "fast",
            "provider": "scripted",
            "since": format_time(row["created_at"]),
            "reserve_usd": str(row["reserve_usd"]),
        }
        for row in rows
    ]
    assert [row["tenant_id"] for row in rows] == ["tenant-1", "tenant-2"]
    assert pages(admin, "suspense", "order=desc") == listed[::-1]


@pytest.mark.parametrize("query", ["state=running", "state=", "limit=0", "cursor=x", "tenant_id=tenant-1"])
def test_another_query_is_refused(admin: Handler, query: str) -> None:
    problem_of(ask(admin, "turns", query), 422, "invalid_request")


@pytest.mark.parametrize("path", ["turns", "suspense"])
def test_a_cursor_of_another_list_is_refused(admin: Handler, path: str) -> None:
    cursor = encode_cursor(["2026-11-30T00:00:00", str(uuid4())])
    problem_of(ask(admin, path, f"cursor={cursor}"), 422, "invalid_request")
