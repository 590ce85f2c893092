"""Invariants of the database's roles, and of objects without row-level security."""

from collections.abc import Mapping
from types import MappingProxyType

from shared.names import LONGEST_TRANSACTION

_SETTINGS = ", ".join(f"('{role}', 'transaction_timeout={longest}')" for role, longest in LONGEST_TRANSACTION.items())

OF_DATABASE: Mapping[str, str] = MappingProxyType(
    {
        # A role may change its own settings, and Postgres cannot forbid it.
        "a role has the settings that a migration gave it": f"""
            SELECT given.role, array_agg(kept.setting) AS settings
            FROM (VALUES {_SETTINGS}) given (role, setting)
            LEFT JOIN (
                SELECT r.rolname::text AS role, s.setdatabase <> 0 AS here, unnest(s.setconfig) AS setting
                FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_db_role_setting s ON s.setrole = r.oid
                JOIN pg_catalog.pg_database d ON d.datname = current_database() AND s.setdatabase IN (0, d.oid)
            ) kept USING (role)
            GROUP BY given.role, given.setting
            HAVING count(*) > 1 OR NOT coalesce(bool_and(kept.here AND kept.setting = given.setting), false)""",  # noqa: S608
        # Row-level security does not cover large objects, and only a superuser can revoke their functions.
        "there is no large object": "SELECT oid, lomowner FROM pg_catalog.pg_largeobject_metadata",
    }
)
