"""Tests the log of Postgres for failed statements: it names the broken rule and no value of the row."""

from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest

from local import database
from local.stack import Stack
from tests.support.stack.tenant import Tenant

WORD, KEY = f"said-{uuid4()}", f"key-{uuid4()}"
COPY: LiteralString = """
    INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, idempotency_key, fingerprint, message,
                       mode, fan_out, roster, lease_epoch)
    SELECT (%s::jsonb ->> 'id')::uuid, tenant_id, session_id, user_id, 9, status, idempotency_key, fingerprint, message,
           mode, fan_out, roster, lease_epoch
    FROM turns WHERE id = %s"""
# Every error that the code raises itself.
CODES = ("PN001", "PN002", "PN003", "PN004", "PN005")
# A wrong statement of a client, and the message of Postgres.
FAILURES: dict[str, tuple[LiteralString, tuple[object, ...]]] = {
    "null value in column": ("UPDATE turns SET response = %s, status = NULL", (WORD,)),
    "violates check constraint": ("UPDATE turns SET response = %s, status = 'odd'", (WORD,)),
    "permission denied by trigger": ("UPDATE turns SET message = %s", (f"{WORD}.",)),
    "duplicate key value": (COPY, ()),
    "invalid input syntax for type json": ("SELECT %s::text::jsonb", (f'{{"text": "{WORD}", }}',)),
    "unsupported Unicode escape sequence": ("SELECT %s::text::jsonb", (f'{{"text": "{WORD}\\u0000"}}',)),
}


@pytest.fixture
def log(stack: Stack) -> Path:
    return stack.log_dir.parent / "postgres" / "server.log"


def test_a_row_that_breaks_a_rule_is_not_in_the_log(stack: Stack, tenant: Tenant, session_id: str, log: Path) -> None:
    turn = tenant.post(session_id, WORD, key=KEY).json()
    before = len(log.read_text())
    with psycopg.connect(stack.app_url, autocommit=True) as app:
        app.execute("SELECT set_config('app.tenant_id', %s, false)", [tenant.id])
        for said, (statement, params) in FAILURES.items():
            with pytest.raises(psycopg.Error, match=said):
                app.execute(statement, params or (f'{{"id": "{uuid4()}"}}', turn["id"]))
    logged = log.read_text()[before:]
    # Without this line, the log would prove nothing.
    assert [said for said in FAILURES if said not in logged] == []
    assert [word for word in (WORD, KEY) if word in log.read_text()] == []


def test_turn_refused_for_its_budget_leaves_no_text_in_the_log(tenant: Tenant, session_id: str, log: Path) -> None:
    assert tenant.http.put("budget", json={"limit_usd": "0"}).status_code == 200
    assert tenant.post(session_id, f"{WORD} {KEY}", key=KEY).status_code == 402
    assert [word for word in (WORD, KEY) if word in log.read_text()] == []
    logged = log.read_text()
    assert [word for word in ("STATEMENT", "INSERT INTO", "UPDATE public", "PN00") if word in logged] == []
    assert "ERROR:  the budget does not cover" in logged


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_writes_its_reason_and_no_statement(stack: Stack, log: Path, code: str) -> None:
    before = len(log.read_text())
    with psycopg.connect(stack.app_url, autocommit=True) as app:
        with pytest.raises(psycopg.Error, match="no more of it") as raised:
            app.execute("SELECT public.refuse(%s, 'no more of it') WHERE %s <> ''", (code, WORD))
        assert raised.value.sqlstate == code
    logged = log.read_text()[before:]
    assert "ERROR:  no more of it" in logged
    assert [word for word in ("STATEMENT", "SELECT", "CONTEXT", WORD) if word in logged] == []


def test_a_password_is_sent_to_the_server_as_a_hash(
    stack: Stack, tenant: Tenant, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test covers a server that logs every statement. One database here does."""
    tenant.owner.execute("CREATE DATABASE told")
    try:
        tenant.owner.execute("ALTER DATABASE told SET log_statement = 'all'")
        urls = database.prepare(stack.owner_url.removesuffix("postgres") + "told")
        with psycopg.connect(urls.app) as app:
            passwords = (tenant.owner.info.password, app.info.password)
            assert all(passwords)
    finally:
        tenant.owner.execute("DROP DATABASE told WITH (FORCE)")
    assert "ALTER ROLE" in log.read_text()
    assert [password for password in passwords if password in log.read_text()] == []
