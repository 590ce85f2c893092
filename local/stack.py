"""Start the local stack, for `pantheon run` and for tests.

After an error or at its end, the stack stops everything that it started, in the opposite order.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn, Self

from local import data_folder, demo, environment, graphs, model, models, postgres
from local.data_folder import Say, StackError
from local.database import RoleUrls
from local.environment import Environment
from local.event_source import SWEEPER, WORKER, EventSource
from local.function_settings import told
from local.gateway.authorizer import AUTHORIZER
from local.gateway.pool import Function, Pool
from local.gateway.server import HOST, Gateway, PortUnavailable, reserve
from local.gateway.template import FunctionStartError
from local.gateway.tokens import NO_CLAIMS, ClaimNames, TokenKey, TokenKeyError
from local.graphs import GraphsError
from local.model import LocalModel, ModelError
from local.postgres import PostgresError
from local.supervision import ModelPart, Part, PartDied, PostgresPart, Supervisor
from shared.errors import PantheonError
from shared.names import Env

_DEMO_ROLES: Final = ("member", "admin")
_DEMO_TTL: Final = timedelta(hours=24)
# Timeouts of functions in seconds, as on AWS. API Gateway waits 29 s for a buffered answer. A turn ends within
# PANTHEON_TURN_SECONDS, or earlier, so that its function has time to publish it.
_API_S: Final = 28.0
_TURNS_S: Final = 300.0
_AUTHORIZER_S: Final = 10.0
# Modules that a function imports with its first call of a model.
_TO_ASK: Final = ("shared.llm.wire",)
_LOOK_EVERY_S: Final = 0.25
# Each function has at most 32 processes, each with a connection. The log has no details or statements of errors, which
# hold values of rows.
_POSTGRES: Final = MappingProxyType(
    {"max_connections": "200", "log_error_verbosity": "terse", "log_min_error_statement": "panic"}
)

# The exceptions of `Stack.start` and `Stack.wait`. Each text is written for the user.
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
    """A running Pantheon, made by `start`. As a context manager it stops at the end.

    Attributes:
        session_id: The id of the demo session.
        owner_url: The database, for its owner.
        app_url: The database, for the functions.
        ops_url: The database, for operations.
        models: The aliases of the catalog, each with its model.
    """

    url: str
    session_id: str
    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    data_dir: Path
    log_dir: Path
    ops_url: str = field(repr=False)
    models: tuple[str, ...]
    _key: TokenKey = field(repr=False)
    _claim_names: ClaimNames = field(repr=False)
    _gateway: Gateway = field(repr=False)
    _supervisor: Supervisor = field(repr=False)
    _resources: ExitStack = field(repr=False)

    @classmethod
    def start(cls, environ: Mapping[str, str], say: Say = lambda _: None, notice: Say = lambda _: None) -> Self:
        """Start everything, and return once the gateway accepts requests.

        `say` gets a line for each step, and `notice` a line for each process of a function that dies. Call it from the
        main thread, because processes end with the thread that starts them. Raises one of START_ERRORS."""
        settings = environment.read(environ)
        for line in models.warnings(settings):
            say(line)
        with ExitStack() as resources:
            listener = resources.enter_context(reserve(settings.port))
            log_dir, key = data_folder.open_data_dir(settings)
            of_graphs = _graphs(settings, say)
            parts = list[Part]()
            # The model loads while everything else starts.
            local_model = _begin_model(settings, log_dir, resources, parts)
            owner_url = _database(settings, resources, parts, say)
            roster_file, roster = data_folder.roster(settings)
            urls, session_id = data_folder.prepare(owner_url, roster, say)
            given = {Env.ROSTER.value: roster_file, **settings.functions}
            if local_model is not None:
                given[Env.LOCAL_MODEL_URL.value] = local_model.base_url
                given[Env.LOCAL_MODEL_KEY.value] = local_model.api_key
            functions = [
                replace(function, environ={**told(function.name, given, settings.catalog), **function.environ})
                for function in _functions(settings, urls, of_graphs)
            ]
            source = partial(_deliver, urls.ops, has_graphs=bool(of_graphs))
            gateway = Gateway(listener, functions, {}, log_dir, source, settings.origins, settings.hosts)
            with data_folder.step("Starting the functions and the gateway", say):
                gateway.start(notice)
            resources.callback(gateway.stop)
            if local_model is not None:
                with data_folder.step("Loading the local model", say):
                    local_model.wait_until_ready()
            return cls(
                url=f"http://{HOST}:{gateway.port}",
                session_id=session_id,
                owner_url=owner_url,
                app_url=urls.app,
                ops_url=urls.ops,
                data_dir=settings.data_dir.absolute(),
                log_dir=log_dir,
                models=tuple(f"{each.alias} ({each.model_id})" for each in settings.catalog.values()),
                _key=key,
                _claim_names=settings.claim_names,
                _gateway=gateway,
                _supervisor=Supervisor(tuple(parts)),
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
        """Return a token that the authorizer accepts, by default for the demo tenant. `claims` are added to it."""
        return self._key.issue(tenant, user, roles, ttl, self._claim_names, claims)

    def wait(self, say: Say = lambda _: None, meanwhile: Callable[[], None] = lambda: None) -> NoReturn:
        """Restart processes that die, and call `meanwhile` several times a second, without end.

        `say` gets a line when a process dies and when it runs again. Raises StackError if the stack cannot continue."""
        while not self._gateway.wait(_LOOK_EVERY_S):
            try:
                self._supervisor.check(say)
            except PartDied as error:
                raise StackError(str(error)) from error
            meanwhile()
        reason = self._gateway.fault or f"see {self.log_dir / 'gateway.log'}."
        raise StackError(f"The gateway has ended: {reason}")

    def stop(self) -> None:
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _graphs(settings: Environment, say: Say) -> Sequence[Function]:
    """Return the function for graphs, if there are graphs. Raises GraphsError if a graph cannot run."""
    if not settings.graphs:
        return ()
    with data_folder.step("Importing the graphs", say):
        return (graphs.check(settings.functions, settings.catalog),)


def _database(settings: Environment, resources: ExitStack, parts: list[Part], say: Say) -> str:
    """Return the owner's URL of a database that answers."""
    if settings.database_url is not None:
        data_folder.check_database(settings.database_url)
        return settings.database_url
    directory = settings.data_dir / "postgres"
    doing = "Starting PostgreSQL" if directory.exists() else f"Making a PostgreSQL server in {directory}"
    with data_folder.step(doing, say):
        part = PostgresPart(postgres.start(directory, settings=_POSTGRES), _POSTGRES)
    resources.callback(part.stop)
    data_folder.check_password(part.server.url, directory)
    parts.append(part)
    return part.server.url


def _begin_model(settings: Environment, log_dir: Path, resources: ExitStack, parts: list[Part]) -> LocalModel | None:
    """Start to load the local model, and return it. Return None if no alias of the catalog needs it."""
    if not settings.needs_model:
        return None
    local_model = resources.enter_context(model.begin(log_dir / "model.log", settings.model_window))
    parts.append(ModelPart(local_model))
    return local_model


def _functions(settings: Environment, urls: RoleUrls, of_graphs: Sequence[Function]) -> tuple[Function, ...]:
    """Return the functions, each with the URL of one database role."""
    app, operations = {Env.APP_DATABASE_URL.value: urls.app}, {Env.OPS_DATABASE_URL.value: urls.ops}
    operator = {Env.OPERATOR_DATABASE_URL.value: urls.operator}
    authorizer = {**settings.authorizer, Env.AUTH_DATABASE_URL.value: urls.auth}
    return (
        Function(AUTHORIZER, "functions.authorizer.handler:handler", _AUTHORIZER_S, authorizer),
        Function("api", "functions.api.handler:handler", _API_S, app),
        Function("turns", "functions.turns.handler:handler", _TURNS_S, app, _TO_ASK),
        replace(WORKER, environ=app, later=_TO_ASK),
        replace(SWEEPER, environ=operations),
        Function("admin", "functions.admin.handler:handler", _API_S, operator, rare=True),
        *(replace(function, environ=app, later=_TO_ASK) for function in of_graphs),
    )


async def _deliver(ops_url: str, pool: Pool, *, has_graphs: bool) -> None:
    await EventSource(pool, ops_url, has_graphs=has_graphs).run()
