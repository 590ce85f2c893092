"""The one connection of a process, and the only place that runs a statement.

Every statement travels with its tenant: `set_config` and the statements go out together in a pipeline on an
autocommit connection, and so are one implicit transaction and one round trip. A tenant is never left behind on the
connection, and no transaction is open between two calls of `run`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import psycopg
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Cast, Column, bindparam, cast
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.sql import ClauseElement

from shared.aws.database_token import CredentialsUnavailable
from shared.db.address import Address
from shared.db.pipeline import Pipeline
from shared.errors import DatabaseUnavailable
from shared.settings import operations_settings, settings

Row = dict[str, Any]
Params = Mapping[str, object]

_SET_TENANT = "SELECT set_config('app.tenant_id', $1, true)"
_CONNECT_TIMEOUT_S = 5


class _Compiler(PGCompiler_psycopg):
    """Renders the values that are written into a statement as literals, and only `bindparam`s as parameters: the
    planner can match a partial index with a constant, and not with a parameter."""

    def visit_bindparam(self, bindparam: Any, *args: Any, **kwargs: Any) -> Any:
        if not bindparam.required:
            kwargs["literal_binds"] = True
        return super().visit_bindparam(bindparam, *args, **kwargs)  # type: ignore[no-untyped-call]


# Numbered parameters, as Postgres itself has them: psycopg would look for named ones in the whole text at each run.
_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_DIALECT.statement_compiler = _Compiler


class Statement:
    """A SQLAlchemy Core statement, compiled to psycopg's text once, when its module is imported."""

    def __init__(self, clause: ClauseElement) -> None:
        compiled: Any = clause.compile(dialect=_DIALECT)
        self.text = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())

    def values(self, params: Params) -> list[object]:
        """`params` in the order of their numbers. Raises KeyError for one that is missing."""
        return [params[name] for name in self._names]


def typed(name: str, column: Column[Any]) -> Cast[Any]:
    """A parameter with the type of `column`, where nothing around it tells Postgres its type."""
    return cast(bindparam(name, type_=column.type), column.type)


class Database:
    """One lazily opened connection as the role in `url`, which `Address` reads. Not for use by several threads."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._pipeline: Pipeline | None = None

    def run(self, tenant_id: str | None, statement: Statement, params: Params) -> list[Row]:
        """Run one statement as one transaction and return its rows. See `run_all` for errors."""
        return self.run_all(tenant_id, (statement, params))[0]

    def run_all(self, tenant_id: str | None, *work: tuple[Statement, Params]) -> list[list[Row]]:
        """Run statements in one transaction and one round trip, and return each one's rows.

        Without a tenant, row-level security shows the application's role nothing. Raises DatabaseUnavailable when
        there is no connection or it broke, and then the next call connects anew; other psycopg.Errors as they come.
        """
        pipeline, setting = self._connected(), [] if tenant_id is None else [(_SET_TENANT, (tenant_id,))]
        with self._watched(pipeline):
            statements = [(statement.text, statement.values(params)) for statement, params in work]
            return pipeline.run([*setting, *statements], unread=len(setting))

    def read(self, tenant_id: str | None, statement: Statement, params: Params) -> list[Row]:
        """`run` for a statement that changes nothing."""
        return self.read_all(tenant_id, (statement, params))[0]

    def read_all(self, tenant_id: str | None, *work: tuple[Statement, Params]) -> list[list[Row]]:
        """`run_all` for statements that change nothing: once more, when the connection had died since its last use."""
        known = self._pipeline is not None
        try:
            return self.run_all(tenant_id, *work)
        except DatabaseUnavailable:
            if not known or self._pipeline is not None:
                raise
            return self.run_all(tenant_id, *work)

    @contextmanager
    def transaction(self, tenant_id: str) -> Iterator[Callable[[Statement, Params], list[Row]]]:
        """For the rare step whose second statement depends on what the first one locked. Leaving the block by an
        error undoes everything."""
        pipeline = self._connected()
        with self._watched(pipeline):
            pipeline.run([("BEGIN", ()), (_SET_TENANT, (tenant_id,))])
            try:
                yield lambda statement, params: pipeline.run([(statement.text, statement.values(params))])[0]
            except BaseException:
                # Where the connection is gone, so is the transaction.
                with suppress(psycopg.Error):
                    pipeline.run([("ROLLBACK", ())])
                raise
            pipeline.run([("COMMIT", ())])

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.connection.close()
            self._pipeline = None

    @contextmanager
    def _watched(self, pipeline: Pipeline) -> Iterator[None]:
        """A connection that breaks is forgotten, and the next use connects anew."""
        try:
            yield
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable from error
        finally:
            if pipeline.connection.closed:
                self.close()

    def _connected(self) -> Pipeline:
        if self._pipeline is not None and (self._pipeline.connection.closed or self._pipeline.hung_up()):
            self.close()
        if self._pipeline is None:
            try:
                connection = psycopg.connect(
                    self._address.url,
                    password=self._address.password(),
                    autocommit=True,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                )
            except (psycopg.OperationalError, CredentialsUnavailable) as error:
                raise DatabaseUnavailable from error
            # Sent in the smallest type that holds it, a number would make another prepared statement of every size.
            connection.adapters.register_dumper(int, Int8Dumper)
            self._pipeline = Pipeline(connection, prepares=self._address.prepares)
        return self._pipeline


@cache
def database() -> Database:
    """This process's database. It connects when it is first used, so a snapshot or a fork holds no connection."""
    return Database(settings().app_database_url)


@cache
def operations_database() -> Database:
    """The same in the role for operations, which sees every tenant."""
    return Database(operations_settings().ops_database_url)
