"""Reset each database role to its own settings.

A role may change its own settings, and Postgres cannot forbid it. Each release resets them, and the sweeper reports
changes until then.
"""

from typing import Any, Final

import psycopg
from psycopg import sql

from shared.names import LONGEST_TRANSACTION

# The settings of a role in this database, and in every database.
_KEPT: Final = """
    SELECT s.setdatabase <> 0 AS here, s.setconfig
    FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
    JOIN pg_catalog.pg_database d ON d.datname = current_database() AND s.setdatabase IN (0, d.oid)
    WHERE r.rolname = %s"""


def reset_settings(connection: psycopg.Connection[Any]) -> None:
    """Set the settings of all roles as the migrations do. `connection` is the owner's, in autocommit."""
    database = sql.Identifier(connection.info.dbname)
    for role, longest in LONGEST_TRANSACTION.items():
        kept = dict(connection.execute(_KEPT, [role]).fetchall())
        name = sql.Identifier(role)
        # Roles belong to the cluster, where another database's release may change them. So write only differences.
        if False in kept:
            connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
        if kept.get(True) != [f"transaction_timeout={longest}"]:
            here = sql.SQL("ALTER ROLE {} IN DATABASE {} ").format(name, database)
            connection.execute(here + sql.SQL("RESET ALL"))
            connection.execute(here + sql.SQL("SET transaction_timeout = {}").format(sql.Literal(longest)))
