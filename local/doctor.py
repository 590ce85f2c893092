"""Check the stored data against its invariants, and the access to the files, for `pantheon doctor`.

It reads one snapshot of the database as the role for operations, and changes nothing. Without the database it fails.
"""

import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from local import environment, private
from local.data_folder import StackError, check_database
from local.operations_url import operations_url
from local.postgres import PostgresError
from shared.db.operations.invariants import INVARIANTS, first_rows
from shared.db.schema.tables import MIGRATION_HEAD
from shared.errors import PantheonError
from shared.names import Env, LocalEnv, Role

Say = Callable[[str], None]
Connection = psycopg.Connection[dict[str, Any]]

_SHOWN: Final = 5
_CONNECT_S: Final = 5
_COUNTS: Final = """
    SELECT (SELECT count(*) FROM public.sessions) AS sessions, count(*) AS turns,
           count(*) FILTER (WHERE status IN ('accepted', 'running')) AS active,
           (SELECT count(*) FROM public.llm_calls) AS calls, (SELECT count(*) FROM public.usage_ledger) AS entries
    FROM public.turns"""
_STATE: Final = """
    SELECT bool_and(coalesce(has_any_column_privilege(%(role)s, to_regclass('public.' || name), 'SELECT'), false))
        AS is_stored
    FROM unnest(ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_migrations']) AS name"""
_COUNTED: Final = "sessions {sessions}, turns {turns} (active {active}), calls {calls}, ledger entries {entries}"


class DoctorError(Exception):
    """The database or the folder cannot be read. The text is one line."""


# The exceptions of `examine`. Each text is written for the user.
EXAMINATION_ERRORS: Final = (DoctorError, PantheonError, StackError, PostgresError)


def examine(environ: Mapping[str, str], say: Say) -> bool:
    """Print a line for each invariant with the rows that break it, and return whether all hold.

    Call it from the main thread. Raises one of EXAMINATION_ERRORS without a database."""
    closed = _is_closed(environment.data_dir(environ), say)
    try:
        with _connect(environ) as connection:
            info = connection.info
            say(f"Looking at the database {info.dbname} at {info.host}:{info.port}.")
            if not _is_of_this_release(connection, say):
                return False
            encoding = info.parameter_status("server_encoding")
            if encoding != "UTF8":
                say(f"BROKEN  encoding {encoding}; texts of some scripts cannot be stored")
            (counts,) = connection.execute(_COUNTS).fetchall()
            say(_COUNTED.format(**counts))
            remembers = not environ.get(Env.GRAPHS) or _keeps_state(connection, say)
            holding = [_holds(connection, name, say) for name in INVARIANTS]
            return closed and encoding == "UTF8" and remembers and all(holding)
    except psycopg.Error as error:
        raise DoctorError(f"The database does not answer: {_first_line(error)}") from error


@contextmanager
def _connect(environ: Mapping[str, str]) -> Iterator[Connection]:
    """Connect as the role for operations, with one snapshot for all queries.

    Row-level security hides all rows from an owner that is no superuser, and an empty table breaks no invariant."""
    if (owner_url := environ.get(LocalEnv.DATABASE_URL)) and not environ.get(Env.OPS_DATABASE_URL):
        check_database(owner_url)
    with operations_url(environ) as url:
        try:
            connection = psycopg.connect(url, connect_timeout=_CONNECT_S, client_encoding="utf8", row_factory=dict_row)
        except psycopg.OperationalError as error:
            raise DoctorError(f"The role {Role.OPS} is not let into the database: {_first_line(error)}") from error
        with connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            yield connection


def _is_closed(data_dir: Path, say: Say) -> bool:
    """Return whether other users of the machine have no access to the files of the local run."""
    if not data_dir.is_dir():
        return True
    try:
        opened = private.open_to_others(data_dir)
    except OSError as error:
        raise DoctorError(f"{data_dir} cannot be read: {error.strerror}.") from error
    say(f"{'BROKEN' if opened else 'ok':<8}files of {data_dir} are closed to other users")
    for path in opened[:_SHOWN]:
        say(f"          {path} has mode {stat.S_IMODE(path.lstat().st_mode):04o}")
    if opened:
        say(f"          close them: chmod -R go= {shlex.quote(str(data_dir))}")
    return not opened


def _is_of_this_release(connection: Connection, say: Say) -> bool:
    if connection.execute("SELECT to_regclass('public.alembic_version') AS made").fetchall() == [{"made": None}]:
        raise DoctorError("The database has no schema yet: start `pantheon run`, which creates it.")
    found = [row["version_num"] for row in connection.execute("SELECT version_num FROM public.alembic_version")]
    if found == [MIGRATION_HEAD]:
        say(f"ok      migration {MIGRATION_HEAD}")
        return True
    say(f"BROKEN  migration {', '.join(found) or 'none'}; this release needs {MIGRATION_HEAD}")
    return False


def _keeps_state(connection: Connection, say: Say) -> bool:
    """Return whether the functions can store the state of graphs."""
    (found,) = connection.execute(_STATE, {"role": Role.APP}).fetchall()
    kept = bool(found["is_stored"])
    say("ok      checkpointer postgres" if kept else "BROKEN  checkpointer memory; graphs forget their state")
    return kept


def _holds(connection: Connection, name: str, say: Say) -> bool:
    try:
        # A savepoint, so that the next invariants can be checked after an error.
        with connection.transaction():
            rows = connection.execute(first_rows(INVARIANTS[name], str(_SHOWN + 1)).encode()).fetchall()
    except psycopg.errors.UndefinedTable:
        say(f"BROKEN  {name}; it cannot be checked, because a table is missing")
        return False
    say(f"{'BROKEN' if rows else 'ok':<8}{name}")
    for row in rows[:_SHOWN]:
        say("          " + ", ".join(f"{column} {value}" for column, value in row.items()))
    if len(rows) > _SHOWN:
        say("          and more")
    return not rows


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
