"""Check that the database is reachable and at this code's revision, and that the journal and graphs' state are
writable."""

from typing import Literal

import psycopg
from sqlalchemy import Text, and_, column, func, literal, select, table

from shared.db.compiler import compiled
from shared.db.engine import Database
from shared.db.schema.tables import MIGRATION_HEAD
from shared.errors import DatabaseUnavailable

_REVISION = compiled(select(column("version_num", Text)).select_from(table("alembic_version", schema="public")))
_JOURNAL = compiled(
    select(
        and_(
            func.current_setting("transaction_read_only") == "off",
            ~func.pg_is_in_recovery(),
            func.has_any_column_privilege(literal("public.llm_calls"), literal("INSERT")),
            func.has_any_column_privilege(literal("public.llm_calls"), literal("UPDATE")),
            func.has_any_column_privilege(literal("public.usage_ledger"), literal("INSERT")),
        ).label("writable"),
        func.current_setting("server_encoding").label("encoding"),
    )
)
# The privileges that the function for graphs needs. Postgres returns NULL for a missing table.
_STATE_NEEDS = (
    *((name, verb) for name in ("checkpoints", "checkpoint_blobs") for verb in ("SELECT", "INSERT")),
    ("checkpoint_migrations", "SELECT"),
)
_STATE = compiled(
    select(
        and_(
            *(
                func.coalesce(func.has_any_column_privilege(func.to_regclass(literal(f"public.{name}")), verb), False)
                for name, verb in _STATE_NEEDS
            )
        ).label("is_stored")
    )
)


def load_checkpointer(db: Database) -> Literal["postgres", "memory"]:
    """Return where the state of graphs is kept between two turns of a session."""
    try:
        return "postgres" if db.read(None, _STATE, {})[0]["is_stored"] else "memory"
    except (DatabaseUnavailable, psycopg.Error):
        return "memory"


def load_checks(db: Database) -> dict[str, str]:
    """Return `database`, `migration` and `journal`: "ok", the revision, or "failing: ..." with the reason. The database
    must be UTF-8."""
    try:
        rows, journal = db.read_all(None, (_REVISION, {}), (_JOURNAL, {}))
    except DatabaseUnavailable:
        return dict.fromkeys(("database", "migration", "journal"), "failing: the database cannot be reached")
    except psycopg.Error:
        return {"database": "ok"} | dict.fromkeys(("migration", "journal"), "failing: the schema is not there")
    revision = rows[0]["version_num"] if rows else "none"
    migration = revision if revision == MIGRATION_HEAD else f"failing: at {revision}, needs {MIGRATION_HEAD}"
    encoding = journal[0]["encoding"]
    stores = "ok" if encoding == "UTF8" else f"failing: the database has the encoding {encoding}, needs UTF8"
    writable = "ok" if journal[0]["writable"] else "failing: the journal cannot be written"
    return {"database": stores, "migration": migration, "journal": writable}
