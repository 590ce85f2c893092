"""Tests that a page of sessions is full, shows only visible sessions, and reads the tenant's living ones only."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from shared.db.api import sessions
from shared.db.api.pages import PageRequest
from shared.db.api.sessions import load_sessions
from shared.domain.actor import Actor
from tests.integration.test_growth import nodes
from tests.support.council_room import CouncilRoom

COLLEAGUE = Actor("tenant-1", "user-2")
OUTSIDER = Actor("tenant-1", "user-4")
ADMIN = Actor("tenant-1", "root", is_admin=True)
# The tenant's quota.
MANY = 10_000


@pytest.fixture
def crowded(room: CouncilRoom) -> CouncilRoom:
    """A tenant with its quota of private sessions of one user, and some of others between them."""
    room.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, visibility)
        SELECT uuidv7(), tenant_id, CASE WHEN n %% 1000 = 0 THEN 'user-2' ELSE 'user-3' END, n::text, mode, fan_out,
               agent_keys, CASE WHEN n %% 2500 = 0 THEN 'tenant' ELSE 'private' END
        FROM sessions, generate_series(1, %s) n""",
        (MANY,),
    )
    room.owner.execute("ANALYZE sessions")
    return room


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_are_full_and_exact_however_many_sessions_lie_between(crowded: CouncilRoom, order: Any) -> None:
    for actor, expected in (
        (COLLEAGUE, sorted({*range(1000, MANY + 1, 1000), *range(2500, MANY + 1, 2500)})),
        (OUTSIDER, [*range(2500, MANY + 1, 2500)]),
    ):
        found, cursor = list[int](), None
        while True:
            page = load_sessions(crowded.db, actor, PageRequest(3, cursor, order))
            found += [int(row["title"]) for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.items) == 3
        assert found == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("actor", [COLLEAGUE, ADMIN, OUTSIDER], ids=["some", "all", "few"])
def test_a_page_reads_no_deleted_or_hidden_session_and_none_of_another_tenant(
    crowded: CouncilRoom, mode: str, actor: Actor
) -> None:
    crowded.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, deleted_at)
        SELECT uuidv7(), 'tenant-' || n % 4, 'user-2', '', mode, fan_out, agent_keys,
               CASE WHEN n % 4 = 1 THEN now() END
        FROM sessions, generate_series(1, 4) n WHERE title <> 'Talk'"""
    )
    crowded.owner.execute(
        """INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, origin, model)
        SELECT uuidv7(), 'tenant-1', 'user-1', '', 'call', fan_out, '{}', 'call', 'fast'
        FROM sessions, generate_series(1, 10) n WHERE tenant_id = 'tenant-1' AND deleted_at IS NULL"""
    )
    crowded.owner.execute("ANALYZE sessions")
    params: dict[str, object] = {"b_after": None, "b_limit": 21, "b_tenant_id": "tenant-1", **actor.params}
    ((text, values),) = sessions._LIST["desc"].sent(params)
    with psycopg.connect(crowded.app_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        connection.execute(b"SELECT set_config('app.tenant_id', %s, false)", [crowded.tenant_id])
        connection.execute(f"PREPARE listed AS {text}".encode())
        arguments = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
        (row,) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE listed ({arguments})".encode())
    (scan,) = [node for node in nodes(row["QUERY PLAN"][0]["Plan"]) if node.get("Relation Name") == "sessions"]
    assert "sessions_listed_of_tenant_idx" in str(scan)
    assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= MANY + 1
