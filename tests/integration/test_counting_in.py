"""Tests that the upgrade to 0014 makes one exact row of each payer's month, from the rows of releases before 0012."""

import psycopg
import pytest

import migrations
from tests.support.council_room import DatabaseUrls

# Turns of two tenants, in a month whose platform share a release before 0012 counted in the row `platform`.
BEFORE = """
    INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys)
      SELECT gen_random_uuid(), t, 'user-1', '', 'tag', 'sequential', '{}' FROM unnest('{a,b}'::text[]) t;
    INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
                       roster, lease_epoch, lease_expires_at, dispatch_after)
      SELECT gen_random_uuid(), tenant_id, id, 'user-1', 1, 'running', '', '', 'tag', 'sequential', '[]', 1, now(),
             now()
      FROM sessions;
    INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, step, attempt, purpose, model_alias, provider,
                           model_id, request_hash, payer, period, reserve_usd, rates, status, posted_at)
      SELECT gen_random_uuid(), tenant_id, session_id, id, n, 1, 'routing', 'fast', 'scripted', 'fast', '', 'platform',
             '2026-11-01', 3, '{}', 'succeeded', CASE n WHEN 0 THEN now() END
      FROM turns, generate_series(0, 1) n;
    INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period, purpose,
                              model_alias, amount_usd, rates)
      SELECT tenant_id, session_id, turn_id, call_id, step, 1, 'post', 'platform', period, 'routing', 'fast', 2, '{}'
      FROM llm_calls WHERE posted_at IS NOT NULL;
    INSERT INTO budgets (payer, period, held_usd, spent_usd) VALUES
      ('platform', '2026-11-01', 6, 3), ('platform:a', '2026-11-01', 0, 1), ('tenant:a', '2026-11-01', 5, 7),
      ('platform:a', '2026-12-01', 1, 1);
    INSERT INTO budget_settlements (payer, period, held_usd, spent_usd) VALUES
      ('tenant:a', '2026-11-01', -5, 4), ('platform', '2026-11-01', -1, 0), ('tenant:b', '2026-11-01', 0, 9)"""


@pytest.fixture
def upgraded(empty_database: DatabaseUrls) -> dict[tuple[str, str], tuple[int, int]]:
    """Held and spent by payer and month."""
    migrations.upgrade(empty_database.owner, "0013")
    with psycopg.connect(empty_database.owner) as connection:
        connection.execute(BEFORE.encode())
    migrations.upgrade(empty_database.owner)
    with psycopg.connect(empty_database.owner) as connection:
        assert connection.execute("SELECT * FROM budget_settlements").fetchall() == []
        rows = connection.execute("SELECT payer, period::text, held_usd, spent_usd FROM budgets").fetchall()
    return {(payer, period): (held, spent) for payer, period, held, spent in rows}


def test_settlements_are_added_to_their_month(upgraded: dict[tuple[str, str], tuple[int, int]]) -> None:
    assert upgraded["tenant:a", "2026-11-01"] == (0, 11)
    assert upgraded["tenant:b", "2026-11-01"] == (0, 9)


def test_a_month_of_the_whole_platform_becomes_one_of_each_tenant(
    upgraded: dict[tuple[str, str], tuple[int, int]],
) -> None:
    """From the ledger and the calls that are not posted. Other months stay as they are."""
    shares = {key: money for key, money in upgraded.items() if key[0].startswith("platform")}
    assert shares == {
        ("platform:a", "2026-11-01"): (3, 2),
        ("platform:b", "2026-11-01"): (3, 2),
        ("platform:a", "2026-12-01"): (1, 1),
    }


def test_row_level_security_is_forced_again(empty_database: DatabaseUrls) -> None:
    migrations.upgrade(empty_database.owner)
    query = """SELECT relname FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity
        AND relnamespace = 'public'::regnamespace"""
    with psycopg.connect(empty_database.owner) as connection:
        assert connection.execute(query).fetchall() == []
