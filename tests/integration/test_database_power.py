"""Tests the grants of each database role, and the statements that Postgres refuses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from shared.db.engine import Row
from shared.names import Role
from tests.support import known_statements
from tests.support.council_room import CouncilRoom, DatabaseUrls, answer, unknown

TENANT = "tenant-1"
# The file has one line for each role and table, so that a changed grant changes the file.
GRANTED = Path(__file__).with_name("database_power.txt")
HELD = """
    SELECT r.rolname || ' ' || c.relname || ': ' || string_agg(held.may, ', ' ORDER BY held.may) AS line
    FROM pg_roles r, pg_class c, LATERAL (
        SELECT privilege_type AS may FROM aclexplode(c.relacl) WHERE grantee IN (r.oid, 0)
        UNION ALL
        SELECT privilege_type || ' (' || string_agg(attname, ', ' ORDER BY attnum < 0, attname) || ')'
        FROM pg_attribute, aclexplode(attacl) WHERE attrelid = c.oid AND NOT attisdropped AND grantee IN (r.oid, 0)
        GROUP BY privilege_type
    ) held
    WHERE r.rolname = ANY(%s) AND c.relnamespace = 'public'::regnamespace
    GROUP BY r.rolname, c.relname ORDER BY r.rolname, c.relname"""
# The text of users and models. The release before reads what is written in capitals as `pantheon_ops`.
TEXT = {
    "agent_versions": ("name", "role_prompt"),
    "audit_events": ("detail",),
    "llm_calls": ("OUTPUT",),
    "replies": ("name", "TEXT"),
    "sessions": ("TITLE", "user_id"),
    "summaries": ("text", "key_facts", "decisions", "open_questions", "action_items", "archived", "items", "archive"),
    "turns": ("MESSAGE", "RESPONSE", "fingerprint", "idempotency_key"),
    "api_keys": ("name", "prefix", "key_hash"),
    "checkpoints": ("checkpoint", "metadata"),
    "checkpoint_blobs": ("blob",),
    "checkpoint_writes": ("blob",),
}
# The next release revokes from `pantheon_ops`.
REVOKED_NEXT = (
    "REVOKE SELECT (message, response) ON turns FROM pantheon_ops",
    "REVOKE SELECT (title) ON sessions FROM pantheon_ops",
    "REVOKE SELECT (text) ON replies FROM pantheon_ops",
    "REVOKE SELECT (output, agent_version, request_hash) ON llm_calls FROM pantheon_ops",
    "REVOKE INSERT, UPDATE ON budget_limits FROM pantheon_ops",
    "REVOKE SELECT ON budget_months, budget_settlements FROM pantheon_ops",
)
MONTH = "date_trunc('month', timezone('UTC', now()))::date"
ENTRY = """INSERT INTO usage_ledger (tenant_id, session_id, turn_id, call_id, step, attempt, kind, account, period,
        purpose, model_alias, rates, amount_usd{more})
    SELECT tenant_id, session_id, turn_id, call_id, step, attempt, 'adjustment', '{account}', period,
        purpose, model_alias, rates, {usd}{value} FROM llm_calls"""


def entry(usd: str, account: str = "tenant", more: str = "", value: str = "") -> str:
    return ENTRY.format(usd=usd, account=account, more=more, value=value)


ASKED = (
    *("id", "tenant_id", "session_id", "user_id", "api_key_id", "turn_index", "idempotency_key", "fingerprint"),
    *("mode", "fan_out", "requested_agent_keys", "roster", "created_at"),
)
SPOKEN = (
    *("turn_id", "position", "tenant_id", "agent_key", "agent_version", "name", "status", "stop_reason", "error_code"),
    *("model_alias", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    "cost_usd",
)
# Statements by role that Postgres refuses with 42501.
REFUSED: dict[Role, tuple[str, ...]] = {
    Role.APP: (
        "CREATE TABLE public.mine ()",
        "CREATE TEMP TABLE turns ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.mine() RETURNS integer RETURN 1",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'all of it')",
        "ALTER ROLE pantheon_ops SET search_path = mine",
        "ALTER ROLE pantheon_app CONNECTION LIMIT 0",
        "SET ROLE pantheon_ops",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        # Money
        "DELETE FROM budgets",
        "TRUNCATE budgets",
        "UPDATE budgets SET payer = payer",
        "UPDATE budgets SET period = period",
        "UPDATE budgets SET spent_usd = spent_usd - 0.000001 WHERE spent_usd > 0",
        "UPDATE budgets SET spent_usd = 'NaN'",
        "UPDATE budgets SET spent_usd = 'Infinity'",
        "UPDATE budgets SET held_usd = -1",
        "UPDATE budgets SET held_usd = 'NaN'",
        "UPDATE budgets SET held_usd = '-Infinity'",
        f"INSERT INTO budgets (payer, period, held_usd) SELECT payer, {MONTH}, -1000 FROM budgets "
        "ON CONFLICT (payer, period) DO UPDATE SET held_usd = budgets.held_usd + excluded.held_usd",
        "INSERT INTO budgets (payer, period, spent_usd) VALUES ('tenant:tenant-1', '2020-01-01', -1)",
        "INSERT INTO budgets (payer, period, held_usd) VALUES ('tenant:tenant-1', '2020-01-01', -1)",
        "INSERT INTO budgets (payer, period, held_usd) VALUES ('tenant:tenant-1', '2020-01-01', 'NaN')",
        "INSERT INTO budgets (payer, period) VALUES ('platform:tenant-2', '2020-01-01')",
        "INSERT INTO budgets (payer, period) VALUES ('tenant:tenant-2', '2020-01-01')",
        "UPDATE budget_limits SET cap_usd = NULL",
        "UPDATE platform_months SET spent_usd = 0",
        "UPDATE budget_holds SET held_usd = 0",
        "INSERT INTO budget_holds VALUES (gen_random_uuid(), 'tenant-1', 'suspense', 'tenant:tenant-1', now(), 'NaN')",
        "UPDATE usage_ledger SET amount_usd = 0",
        "DELETE FROM usage_ledger",
        entry("-0.1"),
        entry("-0.1", "platform"),
        entry("'NaN'"),
        entry("'Infinity'"),
        entry("'-Infinity'", "suspense"),
        entry("0.1", more=", created_at", value=", now() - interval '1 hour'"),
        entry("0.1", more=", created_at", value=", clock_timestamp() + interval '1 second'"),
        "UPDATE llm_calls SET reserve_usd = 0",
        "UPDATE llm_calls SET rates = '{}'",
        "UPDATE llm_calls SET period = '2020-01-01'",
        "UPDATE llm_calls SET created_at = now()",
        "UPDATE llm_calls SET cost_usd = 'NaN'",
        "UPDATE llm_calls SET cost_usd = 'Infinity'",
        "DELETE FROM llm_calls",
        # The authors of questions and replies
        *(f"UPDATE turns SET {column} = {column}" for column in ASKED),
        *(f"UPDATE replies SET {column} = {column}" for column in SPOKEN),
        *(f"UPDATE sessions SET {column} = {column}" for column in ("id", "tenant_id", "user_id", "created_at")),
        "UPDATE turns SET message = 'forged'",
        "UPDATE replies SET text = 'forged'",
    ),
    Role.OPS: (
        "CREATE TEMP TABLE turns ()",
        "SELECT lo_create(0)",
        *(
            f"SELECT {column} FROM {table}"
            for table, columns in TEXT.items()
            for column in columns
            if column == column.lower()
        ),
        "SELECT key FROM agents",
        "SELECT tenant_id FROM tenants",
        "SELECT * FROM turns",
        "UPDATE turns SET status = 'failed'",
        "UPDATE turns SET user_id = ''",
        "UPDATE turns SET message = 'forged'",
        "UPDATE turns SET response = '{}'",
        """UPDATE turns SET plan = '{"selected_agent_keys": []}'""",
        """UPDATE turns SET plan = jsonb_set(plan, '{unknown_tags}', '["forged"]')""",
        "UPDATE llm_calls SET output = 'forged'",
        "UPDATE replies SET text = 'forged'",
        "UPDATE sessions SET title = 'forged'",
        "UPDATE llm_calls SET payer = 'platform'",
        "UPDATE llm_calls SET reserve_usd = 0",
        "UPDATE sessions SET visibility = 'tenant'",
        "DELETE FROM turns",
        "DELETE FROM budgets",
        "UPDATE budgets SET spent_usd = 0",
        "UPDATE budgets SET held_usd = 'NaN'",
        "UPDATE usage_ledger SET amount_usd = 0",
        "INSERT INTO usage_ledger (created_at) VALUES (now())",
    ),
    Role.OPERATOR: (
        "CREATE TEMP TABLE turns ()",
        "SELECT lo_create(0)",
        "SELECT message FROM turns",
        "SELECT response FROM turns",
        "SELECT user_id FROM turns",
        "UPDATE turns SET status = 'failed'",
        "SELECT id FROM sessions",
        "SELECT turn_id FROM replies",
        "SELECT output FROM llm_calls",
        "SELECT thinking FROM llm_calls",
        "SELECT agent_key FROM llm_calls",
        "UPDATE llm_calls SET status = 'unbilled'",
        "SELECT key FROM agents",
        "SELECT id FROM api_keys",
        "SELECT user_id FROM usage_ledger",
        "SELECT turn_id FROM usage_ledger",
        "SELECT user_id FROM usage_hours",
        "SELECT api_key_id FROM usage_days",
        "SELECT * FROM usage_entries",
        "SELECT id FROM budget_holds",
        "UPDATE budgets SET spent_usd = 0",
        "INSERT INTO budgets (payer, period) VALUES ('platform', '2020-01-01')",
        "DELETE FROM budget_limits",
        "UPDATE budget_limits SET payer = 'platform'",
        "INSERT INTO budget_limits (payer, cap_usd) VALUES ('anybody', 1)",
        "INSERT INTO usage_ledger (tenant_id) VALUES ('tenant-1')",
    ),
    Role.AUTH: (
        "CREATE TEMP TABLE turns ()",
        "SELECT lo_create(0)",
        "SELECT id FROM turns",
        "SELECT payer FROM budgets",
    ),
}
ALLOWED: dict[Role, tuple[str, ...]] = {
    Role.APP: (
        "UPDATE budgets SET spent_usd = spent_usd + 1, held_usd = held_usd + 1",
        "UPDATE budgets SET held_usd = 0",
        "INSERT INTO budgets (payer, period) VALUES ('platform:tenant-1', '2020-01-01')",
        entry("0.1"),
        entry("-0.1", "suspense"),
        "UPDATE turns SET message = ''",
        "UPDATE replies SET text = NULL",
        "UPDATE llm_calls SET cost_usd = 1, payer = 'platform', posted_at = now()",
    ),
    Role.OPS: (
        "UPDATE turns SET message = '', response = NULL, plan = jsonb_set(plan, '{unknown_tags}', '[]')",
        # The release before keeps an active turn's message.
        "UPDATE turns SET message = message, response = NULL, plan = plan",
        "UPDATE llm_calls SET output = NULL",
        "UPDATE replies SET text = NULL",
        "UPDATE sessions SET title = ''",
        "SELECT has_text, answered_usd FROM turns",
        "SELECT has_title FROM sessions",
    ),
    Role.OPERATOR: (
        "SELECT reason, amount_usd FROM operator_entries",
        "INSERT INTO budget_limits (payer, cap_usd) VALUES ('tenant:tenant-9', 1), ('platform:tenant-9', 1)",
        "INSERT INTO budget_limits (payer, limit_usd) VALUES ('platform', 1)",
    ),
    Role.AUTH: ("SELECT id FROM api_keys",),
}


@pytest.fixture
def turns(room: CouncilRoom) -> CouncilRoom:
    """A tenant with posted calls and with money that is held and spent."""
    room.limit(100)
    room.provider.enqueue(answer("Roses."), unknown(), answer("Violets."))
    room.take("@writer @critic hello")
    return room


@contextmanager
def connected(urls: DatabaseUrls, role: Role) -> Iterator[psycopg.Connection[Row]]:
    """A connection of a role, in a transaction of the tenant that is rolled back."""
    with psycopg.connect(urls.of(role), row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (TENANT,))
        yield connection
        connection.rollback()


def test_grants_of_each_role_are_those_in_the_list(owner: psycopg.Connection[Row]) -> None:
    found = [row["line"] for row in owner.execute(HELD, ([role.value for role in Role],))]
    assert found == GRANTED.read_text().splitlines()


@pytest.mark.parametrize("role", list(Role))
def test_role_is_refused_each_statement_outside_its_work(
    turns: CouncilRoom, database_urls: DatabaseUrls, role: Role
) -> None:
    accepted = []
    with connected(database_urls, role) as connection:
        for statement in REFUSED[role]:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement.encode())
                accepted.append(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
    assert accepted == []


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_do_its_work(turns: CouncilRoom, database_urls: DatabaseUrls, role: Role) -> None:
    with connected(database_urls, role) as connection:
        for statement in ALLOWED[role]:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())


def test_operations_read_no_text_except_columns_of_the_release_before(owner: psycopg.Connection[Row]) -> None:
    may = "SELECT has_column_privilege(%s, %s, %s, 'SELECT') AS may"
    for table, columns in TEXT.items():
        for column in columns:
            for role in (Role.OPS, Role.OPERATOR):
                expected = role is Role.OPS and column == column.upper()
                found = owner.execute(may, (role.value, table, column.lower())).fetchall()
                assert found == [{"may": expected}], (role, table, column)


def refused_of(connection: psycopg.Connection[Row], statements: Iterator[known_statements.Named]) -> list[str]:
    """Return the refused statements. EXPLAIN makes Postgres check rights and runs nothing."""
    refused = []
    for name, text in statements:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode(), prepare=False)
        except psycopg.errors.InsufficientPrivilege as error:
            refused.append(f"{name}: {error}")
    return refused


def test_operations_may_run_all_their_statements_without_the_rights_revoked_next(
    owner: psycopg.Connection[Row],
) -> None:
    owner.prepare_threshold = None
    with owner.transaction(force_rollback=True):
        for statement in REVOKED_NEXT:
            owner.execute(statement.encode())
        owner.execute(f"SET LOCAL ROLE {Role.OPS}".encode())
        assert refused_of(owner, known_statements.of_operations()) == []


def test_operator_may_run_all_statements_of_its_function(owner: psycopg.Connection[Row]) -> None:
    owner.prepare_threshold = None
    with owner.transaction(force_rollback=True):
        owner.execute(f"SET LOCAL ROLE {Role.OPERATOR}".encode())
        assert refused_of(owner, known_statements.of_operator()) == []


def test_a_derived_column_says_whether_there_is_text_and_what_was_answered(turns: CouncilRoom) -> None:
    seen = "SELECT has_text, answered_usd = (response::jsonb ->> 'cost_usd') AS answered FROM turns"
    assert turns.rows(seen) == [{"has_text": True, "answered": True}]
    turns.owner.execute("UPDATE turns SET response = 'no JSON'")
    assert turns.rows("SELECT answered_usd FROM turns") == [{"answered_usd": None}]
    turns.owner.execute("UPDATE turns SET response = NULL")
    assert turns.rows("SELECT has_text FROM turns") == [{"has_text": True}]
    turns.owner.execute("UPDATE turns SET message = ''")
    assert turns.rows("SELECT has_text FROM turns") == [{"has_text": False}]
