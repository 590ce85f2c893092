"""Bringing a database up to date, and the URL by which the application's role reaches it."""

import hashlib
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

import migrations
from shared.names import Role


def prepare(owner_url: str) -> str:
    """Migrate the database at the owner's URL and return the application's URL. Raises psycopg.Error."""
    migrations.upgrade(owner_url)
    parts = urlsplit(owner_url)
    password = _password(parts.password)
    if password:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(Role.APP), sql.Literal(password))
            )
    user = f"{Role.APP}:{quote(password)}" if password else Role.APP.value
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def _password(owner_password: str | None) -> str | None:
    """None where the owner needs none. Otherwise derived from the owner's, so that two stacks on one database give
    the role the same one, and nothing is kept in a file."""
    if not owner_password:
        return None
    return hashlib.sha256(f"{Role.APP}:{owner_password}".encode()).hexdigest()
