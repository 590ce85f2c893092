"""Open the data folder and the database of the local stack. The text of each error is one line that says what to do."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from alembic.util import CommandError
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import SQLAlchemyError

from local import database, demo, environment, private
from local.database import RoleUrls
from local.environment import Environment
from local.gateway.tokens import KEY_FILE, TokenKey
from local.postgres_access import PASSFILE
from shared.aws.jwks_store import JwksStore
from shared.db.schema.tables import MIGRATION_HEAD
from shared.names import Env, LocalEnv
from shared.roster.file import RosterFile, read_roster

_CONNECT_S: Final = 5

Say = Callable[[str], None]


class StackError(Exception):
    """The stack cannot start or continue. The text is one line."""


def open_data_dir(settings: Environment) -> tuple[Path, TokenKey]:
    """Return the folder of logs and the key that signs tokens. Write its public half for the authorizer."""
    data_dir, log_dir = settings.data_dir, settings.data_dir / "log"
    try:
        private.make_folder(data_dir)
        private.make_folder(log_dir)
        key = TokenKey.load_or_create(data_dir)
        JwksStore(settings.authorizer[Env.JWKS_URL]).write(json.dumps(key.jwks).encode())
        private.close_files(data_dir / KEY_FILE, data_dir / environment.KEYS, *log_dir.glob("*.log"))
    except OSError as error:
        raise StackError(f"{LocalEnv.DATA_DIR}: {error.filename}: {error.strerror}.") from error
    return log_dir, key


def check_password(url: str, directory: Path) -> None:
    """Raise StackError unless the embedded server in `directory` accepts the password of its file."""
    try:
        psycopg.connect(url, connect_timeout=_CONNECT_S).close()
    except psycopg.OperationalError as error:
        if "password" not in str(error):
            raise StackError(f"PostgreSQL in {directory} cannot be reached: {_first_line(error)}") from error
        file = directory / PASSFILE
        raise StackError(
            f"PostgreSQL refuses the password in {file}. Remove the file: the next start sets a new password."
        ) from error


def check_database(url: str) -> None:
    """Raise StackError unless the database answers and has the encoding UTF-8.

    The text has no part of the password, even if missing quotes put some of it into the host."""
    try:
        parts = conninfo_to_dict(url) if url.startswith(("postgresql://", "postgres://")) else {"host": "?"}
    except psycopg.ProgrammingError:
        parts = {"host": "?"}
    host, port = str(parts.get("host", "localhost")), str(parts.get("port", 5432))
    if not (re.fullmatch(r"[\w./:,-]+", host) and re.fullmatch(r"[0-9,]+", port)):
        raise StackError(f"{LocalEnv.DATABASE_URL}: not a PostgreSQL URL; %-encode special characters in its password.")
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_S) as connection:
            encoding = connection.info.parameter_status("server_encoding")
    except psycopg.OperationalError as error:
        raise StackError(f"The database at {host}:{port} cannot be reached: {_first_line(error)}") from error
    if encoding != "UTF8":
        raise StackError(f"The database at {host}:{port} has the encoding {encoding}. Make one with ENCODING 'UTF8'.")


def roster(settings: Environment) -> tuple[str, RosterFile]:
    """Return the path of the demo's roster, and the demo tenant's roster: the user's, if it has agents."""
    path = (settings.data_dir / "roster.toml").absolute()
    try:
        demo.write_roster(path, settings.catalog)
    except OSError as error:
        raise StackError(f"{LocalEnv.DATA_DIR}: {error.filename}: {error.strerror}.") from error
    if settings.roster is not None and settings.roster.agents:
        return str(path), settings.roster
    return str(path), read_roster(path, settings.catalog)


def prepare(owner_url: str, roster: RosterFile, say: Say) -> tuple[RoleUrls, str]:
    """Migrate the database. Return the URLs of its roles, and the demo session's id."""
    try:
        with step("Migrating the database", say):
            _check_release(owner_url)
            urls = database.prepare(owner_url)
            return urls, demo.seed(urls.app, roster)
    except (psycopg.Error, SQLAlchemyError, CommandError) as error:
        raise StackError(f"The database cannot be prepared: {_first_line(error)}") from error


def _check_release(owner_url: str) -> None:
    """Raise StackError if a newer release has migrated the database."""
    with psycopg.connect(owner_url, connect_timeout=_CONNECT_S) as connection:
        (made,) = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() or (None,)
        found = connection.execute("SELECT version_num FROM public.alembic_version").fetchone() if made else None
    if found is not None and found[0] > MIGRATION_HEAD:
        raise StackError(
            f"A newer release of Pantheon has migrated the database to {found[0]}, and this one knows migrations up to "
            f"{MIGRATION_HEAD}. Use the newer release, or another {LocalEnv.DATA_DIR}."
        )


@contextmanager
def step(doing: str, say: Say) -> Iterator[None]:
    say(f"{doing} ...")
    started = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - started:.1f} s")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
