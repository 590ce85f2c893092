"""Migrate a database before a release's code serves, while the release before serves.

A migration waits only briefly for a lock, so that no request queues behind it, and is tried again. A database that is
ahead of this code is left unchanged, because its deployment is being rolled back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psycopg
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError

import migrations
from migrations.roles import reset_settings
from shared.names import Role

# RDS's own role. Its members sign in only with a token.
IAM_ROLE: Final = "rds_iam"
PAUSE_S: Final = 5.0
# Seconds that a retry needs beyond the pause: a connection, and the longest wait for a lock.
_MARGIN_S: Final = 20.0
# Temporary errors: a lock, a deadlock, a failover, a server that is starting, full, or unreachable.
_AGAIN: Final = frozenset({"55P03", "40P01", "57P01", "57P02", "57P03", "53300", None})


@dataclass(frozen=True)
class Release:
    """The revisions of the database before and after. `found` is None for an empty database."""

    found: str | None
    left: str


class MigrationError(Exception):
    """The database stays at its revision. The text has only the error's type and SQLSTATE, because the server's message
    may have a tenant's data."""


def bring_up(url: str, seconds_left: Callable[[], float], sleep: Callable[[float], None] = time.sleep) -> Release:
    """Migrate the database at the owner's URL to the head, and let its roles sign in. Raises MigrationError."""
    while True:
        try:
            return _bring_up(url)
        except (psycopg.Error, SQLAlchemyError, CommandError) as error:
            cause = getattr(error, "orig", None) or error
            state = getattr(cause, "sqlstate", None)
            passing = isinstance(cause, psycopg.OperationalError) and state in _AGAIN
            if not passing or seconds_left() < PAUSE_S + _MARGIN_S:
                raise MigrationError(f"{type(cause).__name__} (SQLSTATE {state})") from None
        sleep(PAUSE_S)


def _bring_up(url: str) -> Release:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(migrations.LOCK_TIMEOUT)))
        found = _revision(connection)
        known = {script.revision for script in ScriptDirectory.from_config(migrations.config(url)).walk_revisions()}
        if found is not None and found not in known:
            return Release(found, found)
        migrations.upgrade(url)
        reset_settings(connection)
        _let_roles_sign_in(connection)
        left = _revision(connection)
        assert left is not None
        return Release(found, left)


def _revision(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return None if row is None else str(row[0])


def _let_roles_sign_in(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Make every role a member of RDS's role. Outside of RDS that role does not exist, and nothing is done."""
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [IAM_ROLE]).fetchone() is None:
        return
    for role in Role:
        grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(IAM_ROLE), sql.Identifier(role))
        if not _is_member(connection, role):
            connection.execute(grant)


def _is_member(connection: psycopg.Connection[tuple[object, ...]], role: Role) -> bool:
    found = connection.execute(
        """SELECT FROM pg_auth_members
        WHERE roleid = (SELECT oid FROM pg_roles WHERE rolname = %s)
          AND member = (SELECT oid FROM pg_roles WHERE rolname = %s)""",
        [IAM_ROLE, role.value],
    )
    return found.fetchone() is not None
