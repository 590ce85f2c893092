"""Migrate a database, set the passwords of its roles, and build their URLs."""

import hashlib
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

import migrations
from migrations.roles import reset_settings
from shared.names import Role


@dataclass(frozen=True)
class RoleUrls:
    """The URL of each role.

    `app` serves one tenant at a time. `ops` sweeps and reconciles. `operator` sets limits and reads usage. `auth`
    looks up API keys."""

    app: str
    ops: str
    operator: str
    auth: str


def prepare(owner_url: str) -> RoleUrls:
    """Migrate the database, and let its roles connect. Raises psycopg.Error and the errors of Alembic."""
    migrations.upgrade(owner_url)
    admit(owner_url)
    return role_urls(owner_url)


def admit(owner_url: str) -> None:
    """Give each role its password, unless the owner has none. Raises psycopg.Error."""
    parts = urlsplit(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        reset_settings(connection)
        if parts.password:
            for role in Role:
                # Hashed here, because the server may log the statement.
                hashed = connection.pgconn.encrypt_password(
                    _password(parts.password, role).encode(), role.encode(), b"scram-sha-256"
                ).decode()
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), hashed))


def role_urls(owner_url: str) -> RoleUrls:
    """Return the URLs of the roles. `prepare` must have let them connect."""
    parts = urlsplit(owner_url)
    return RoleUrls(**{role.name.lower(): _url(parts, role) for role in Role})


def role_url(owner_url: str, role: Role) -> str:
    return _url(urlsplit(owner_url), role)


def _url(parts: SplitResult, role: Role) -> str:
    user = f"{role}:{quote(_password(parts.password, role))}" if parts.password else role.value
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def _password(owner_password: str, role: Role) -> str:
    """Derive a role's password from the owner's, so that two stacks on one database agree without a file."""
    return hashlib.sha256(f"{role}:{owner_password}".encode()).hexdigest()
