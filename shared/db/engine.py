"""Run statements over one database connection for each role. No other module runs one.

`set_config` with the tenant and the statements are sent as one pipeline on an autocommit connection: one implicit
transaction and one round trip. No tenant stays on the connection, and no transaction is open between two calls of
`run`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Any

import psycopg
from psycopg.types.numeric import Int8Dumper

from shared.aws.database_token import CredentialsUnavailable
from shared.db.address import Address
from shared.db.pipeline import NoAnswer, Pipeline
from shared.db.statement import Params, Row, Statement
from shared.errors import DatabaseUnavailable
from shared.settings import authorizer_settings, operations_settings, operator_settings, settings

__all__ = [
    "Database",
    "Params",
    "Row",
    "Statement",
    "database",
    "key_database",
    "operations_database",
    "operator_database",
]

_SET_TENANT = "SELECT set_config('app.tenant_id', $1, true)"
# Seconds. If the connection dies during a turn, the turn waits 8 s for an answer. Recording the outcome then takes up
# to six connection attempts of 3 s. With the pauses, this stays under the 28 s of an HTTP function.
_CONNECT_S = 3
ANSWER_S = 8.0
# Reports, deletions and operations may take as long as an HTTP function. The sweeper, with 55 s, can send a read twice.
LONG_ANSWER_S = 24.0
# For the authorizer, which has 10 s and can send a read twice.
KEY_ANSWER_S = 2.0
# The kernel closes a connection whose host is gone: after 10 s without acknowledgement, or after 15 s of silence.
_KEEPALIVE: Mapping[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Database:
    """One lazily opened connection in the role of `url`, which `Address` parses. Not for use by several threads.

    A statement without an answer after `answer_s` seconds closes the connection, and raises DatabaseUnavailable."""

    def __init__(self, url: str, *, answer_s: float = LONG_ANSWER_S) -> None:
        self._address = Address.parse(url)
        self._answer_s = answer_s
        self._pipeline: Pipeline | None = None

    def run(self, tenant_id: str | None, statement: Statement, params: Params) -> list[Row]:
        """Run one statement as one transaction and return its rows. See `run_all` for errors."""
        return self.run_all(tenant_id, (statement, params))[0]

    def run_all(
        self, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
    ) -> list[list[Row]]:
        """Run statements in one transaction and one round trip, and return each one's rows. `answer_s` overrides the
        database's own.

        Without a tenant, row-level security hides every row from the application's role. Raises DatabaseUnavailable if
        the connection failed, broke or timed out; the next call connects again. Other psycopg.Errors are passed on."""
        pipeline, setting = self._connected(), [] if tenant_id is None else [(_SET_TENANT, (tenant_id,))]
        with self._watched(pipeline):
            sent = [statement.sent(params) for statement, params in work]
            parts = [part for parts in sent for part in parts]
            answers = iter(pipeline.run([*setting, *parts], unread=len(setting), answer_s=answer_s))
            pairs = zip(work, sent, strict=True)
            return [statement.rows(list(islice(answers, len(parts)))) for (statement, _), parts in pairs]

    def read(
        self, tenant_id: str | None, statement: Statement, params: Params, *, answer_s: float | None = None
    ) -> list[Row]:
        """Run a statement that changes nothing, as `read_all` does."""
        return self.read_all(tenant_id, (statement, params), answer_s=answer_s)[0]

    def read_all(
        self, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
    ) -> list[list[Row]]:
        """Run statements that change nothing, again if the connection had died since its last use. With `answer_s`, a
        timeout is not retried."""
        known = self._pipeline is not None
        try:
            return self.run_all(tenant_id, *work, answer_s=answer_s)
        except DatabaseUnavailable as error:
            if not known or self._pipeline is not None or (answer_s and isinstance(error.__cause__, NoAnswer)):
                raise
            return self.run_all(tenant_id, *work, answer_s=answer_s)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.connection.close()
            self._pipeline = None

    @contextmanager
    def _watched(self, pipeline: Pipeline) -> Iterator[None]:
        """Forget a connection that breaks, so that the next use connects again."""
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
                    connect_timeout=_CONNECT_S,
                    # Override PGCLIENTENCODING, because texts have every script.
                    client_encoding="utf8",
                    **_KEEPALIVE,
                )
            except (psycopg.OperationalError, CredentialsUnavailable) as error:
                raise DatabaseUnavailable from error
            # With the smallest fitting type, numbers of other sizes would need other prepared statements.
            connection.adapters.register_dumper(int, Int8Dumper)
            self._pipeline = Pipeline(connection, prepares=self._address.prepares, answer_s=self._answer_s)
        return self._pipeline


@cache
def database() -> Database:
    """Return this process's database in the application's role. It connects at first use, so a snapshot or fork holds
    no connection."""
    return Database(settings().app_database_url, answer_s=ANSWER_S)


@cache
def operations_database() -> Database:
    """The database in the role for operations, which sees every tenant."""
    return Database(operations_settings().ops_database_url)


@cache
def operator_database() -> Database:
    """The database in the operator's role, which sets limits and reads usage of every tenant."""
    return Database(operator_settings().operator_database_url)


@cache
def key_database() -> Database:
    """The database in the role that looks up API keys."""
    return Database(authorizer_settings().auth_database_url, answer_s=KEY_ANSWER_S)
