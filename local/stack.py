"""Start everything that `pantheon run` needs. Tests start the same.

The stack stops everything that it started, in the opposite order, whatever happens in between. It gives the address out
only once it answers.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn, Self

import psycopg
from alembic.util import CommandError
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import SQLAlchemyError

from local import database, demo, environment, graphs, model, models, postgres, private
from local.database import RoleUrls
from local.environment import Environment
from local.event_source import SWEEPER, WORKER, EventSource
from local.gateway.authorizer import AUTHORIZER
from local.gateway.pool import Function, Pool
from local.gateway.server import HOST, Gateway, PortUnavailable, reserve
from local.gateway.template import FunctionStartError
from local.gateway.tokens import KEY_FILE, NO_CLAIMS, ClaimNames, TokenKey, TokenKeyError
from local.graphs import GraphsError
from local.model import LocalModel, ModelError
from local.postgres import PostgresError
from local.told import told
from shared.aws.jwks_store import JwksStore
from shared.errors import PantheonError
from shared.names import Env, LocalEnv
from shared.roster.file import RosterFile, read_roster

_DEMO_ROLES: Final = ("member", "admin")
_DEMO_TTL: Final = timedelta(hours=24)
# What an invocation may take, in seconds, as on AWS: API Gateway waits for a buffered answer for 29. A turn ends within
# PANTHEON_TURN_SECONDS, or sooner so that it can still be published.
_API_S: Final = 28.0
_TURNS_S: Final = 300.0
_AUTHORIZER_S: Final = 10.0
_CONNECT_S: Final = 5
# Each process of each function keeps a connection, and there may be 32 of each. Errors are logged without their
# details, which are the values of a row, and without their statement.
_POSTGRES: Final = MappingProxyType(
    {"max_connections": "200", "log_error_verbosity": "terse", "log_min_error_statement": "panic"}
)

Say = Callable[[str], None]


class StackError(Exception):
    """The stack cannot start or go on. The text is one line."""


# What `Stack.start` and `wait` raise, each with a text for a person.
START_ERRORS: Final = (
    StackError,
    PantheonError,
    PortUnavailable,
    TokenKeyError,
    PostgresError,
    ModelError,
    FunctionStartError,
    GraphsError,
)


@dataclass(frozen=True)
class Stack:
    """A running Pantheon, made by `start`; as a context manager it stops at the end. `session_id` is the demo
    session's, `app_url` the database as the functions see it, `owner_url` as its owner does."""

    url: str
    session_id: str
    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    log_dir: Path
    _key: TokenKey = field(repr=False)
    _claim_names: ClaimNames = field(repr=False)
    _gateway: Gateway = field(repr=False)
    _resources: ExitStack = field(repr=False)

    @classmethod
    def start(cls, environ: Mapping[str, str], say: Say = lambda _: None) -> Self:
        """Start everything and return once requests are accepted. `say` gets a line about each step. Call it from
        the main thread: the processes are tied to the thread that starts them. Raises one of START_ERRORS."""
        settings = environment.read(environ)
        for line in models.warnings(settings):
            say(line)
        with ExitStack() as resources:
            listener = resources.enter_context(reserve(settings.port))
            log_dir, key = _open_data_dir(settings)
            of_graphs = _graphs(settings, say)
            owner_url = _database(settings, resources, say)
            roster_file, roster = _roster(settings)
            urls, session_id = _prepare(owner_url, roster, say)
            given = {Env.ROSTER.value: roster_file, **settings.functions}
            if settings.needs_model:
                local_model = _model(log_dir, resources, say)
                given[Env.LOCAL_MODEL_URL.value] = local_model.base_url
                given[Env.LOCAL_MODEL_KEY.value] = local_model.api_key
            functions = [
                replace(function, environ={**told(function.name, given, settings.catalog), **function.environ})
                for function in _functions(settings, urls, of_graphs)
            ]
            source = partial(_deliver, urls.ops, has_graphs=bool(of_graphs))
            gateway = Gateway(listener, functions, {}, log_dir, source, settings.origins, settings.hosts)
            with _step("Starting the functions and the gateway", say):
                gateway.start()
            resources.callback(gateway.stop)
            return cls(
                url=f"http://{HOST}:{gateway.port}",
                session_id=session_id,
                owner_url=owner_url,
                app_url=urls.app,
                log_dir=log_dir,
                _key=key,
                _claim_names=settings.claim_names,
                _gateway=gateway,
                _resources=resources.pop_all(),
            )

    def token(
        self,
        tenant: str = demo.TENANT,
        user: str = demo.USER,
        roles: Sequence[str] = _DEMO_ROLES,
        ttl: timedelta = _DEMO_TTL,
        claims: Mapping[str, str] = NO_CLAIMS,
    ) -> str:
        """A token that the authorizer accepts; by default the demo tenant's. `claims` are further ones."""
        return self._key.issue(tenant, user, roles, ttl, self._claim_names, claims)

    def wait(self) -> NoReturn:
        """Wait for ever. Raises StackError when the gateway has ended by itself."""
        self._gateway.wait()
        raise StackError(f"The gateway has ended; see {self.log_dir / 'gateway.log'}.")

    def stop(self) -> None:
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _open_data_dir(settings: Environment) -> tuple[Path, TokenKey]:
    """The folder of logs, and the key that signs tokens. The authorizer reads the public half from a file."""
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


def _graphs(settings: Environment, say: Say) -> Sequence[Function]:
    """The function for graphs, if there are any. Raises GraphsError when they cannot run."""
    if not settings.graphs:
        return ()
    with _step("Importing the graphs", say):
        return (graphs.check(settings.functions, settings.catalog),)


def _database(settings: Environment, resources: ExitStack, say: Say) -> str:
    """The owner's URL of a database that answers."""
    if settings.database_url is not None:
        check_database(settings.database_url)
        return settings.database_url
    directory = settings.data_dir / "postgres"
    doing = "Starting PostgreSQL" if directory.exists() else f"Making a PostgreSQL server in {directory}"
    with _step(doing, say):
        return resources.enter_context(postgres.start(directory, settings=_POSTGRES)).url


def check_database(url: str) -> None:
    """Raise StackError unless the database answers and stores every script. No part of the password gets into the text,
    not even when it was misread as part of the host for want of quoting."""
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


def _roster(settings: Environment) -> tuple[str, RosterFile]:
    """The path of the demo's roster, and the roster of the demo tenant: the user's, if it has agents."""
    path = (settings.data_dir / "roster.toml").absolute()
    try:
        demo.write_roster(path, settings.catalog)
    except OSError as error:
        raise StackError(f"{LocalEnv.DATA_DIR}: {error.filename}: {error.strerror}.") from error
    if settings.roster is not None and settings.roster.agents:
        return str(path), settings.roster
    return str(path), read_roster(path, settings.catalog)


def _prepare(owner_url: str, roster: RosterFile, say: Say) -> tuple[RoleUrls, str]:
    """Bring the database up to date. The URLs of its roles, and the demo session's id."""
    try:
        with _step("Migrating the database", say):
            urls = database.prepare(owner_url)
            return urls, demo.seed(urls.app, roster)
    except (psycopg.Error, SQLAlchemyError, CommandError) as error:
        raise StackError(f"The database cannot be prepared: {_first_line(error)}") from error


def _model(log_dir: Path, resources: ExitStack, say: Say) -> LocalModel:
    with _step("Loading the local model", say):
        return resources.enter_context(model.start(log_dir / "model.log"))


def _functions(settings: Environment, urls: RoleUrls, of_graphs: Sequence[Function]) -> tuple[Function, ...]:
    """Tell each function the address of one database role."""
    app, operations = {Env.APP_DATABASE_URL.value: urls.app}, {Env.OPS_DATABASE_URL.value: urls.ops}
    operator = {Env.OPERATOR_DATABASE_URL.value: urls.operator}
    authorizer = {**settings.authorizer, Env.AUTH_DATABASE_URL.value: urls.auth}
    return (
        Function(AUTHORIZER, "functions.authorizer.handler:handler", _AUTHORIZER_S, authorizer),
        Function("api", "functions.api.handler:handler", _API_S, app),
        Function("turns", "functions.turns.handler:handler", _TURNS_S, app),
        replace(WORKER, environ=app),
        replace(SWEEPER, environ=operations),
        Function("admin", "functions.admin.handler:handler", _API_S, operator),
        *(replace(function, environ=app) for function in of_graphs),
    )


async def _deliver(ops_url: str, pool: Pool, *, has_graphs: bool) -> None:
    await EventSource(pool, ops_url, has_graphs=has_graphs).run()


@contextmanager
def _step(doing: str, say: Say) -> Iterator[None]:
    say(f"{doing} ...")
    started = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - started:.1f} s")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
