"""Run statements over one database connection for each role. No other module runs one.

`set_config` with the tenant and the statements go out together in a pipeline on an autocommit connection. They are one
implicit transaction and one round trip. No tenant stays on the connection, and no transaction is open between two
calls of `run`.
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
# If the connection dies during a turn, the turn waits 8 s for an answer. Recording the outcome then takes up to six
# connection attempts of 3 s. With the pauses, this stays under the 28 s of an HTTP function.
_CONNECT_S = 3
ANSWER_S = 8.0
# A report, the deletion of a session and operations take as long as a function that serves HTTP has. The sweeper, which
# has 55 s, can send a read twice.
LONG_ANSWER_S = 24.0
# The lookup of an API key, within the 10 s of the authorizer. A read is sent twice where its connection had died.
KEY_ANSWER_S = 2.0
# The kernel closes a connection whose host is gone: 10 s after unacknowledged data, and after 15 s of silence.
_KEEPALIVE: Mapping[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Database:
    """One lazily opened connection as the role in `url`, which `Address` reads. Not for use by several threads.

    A statement that has no answer after `answer_s` seconds costs the connection, and raises DatabaseUnavailable."""

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
        """Run statements in one transaction and one round trip, and return each one's rows. `answer_s` stands in for
        the database's own.

        Without a tenant, row-level security shows the application's role nothing. Raises DatabaseUnavailable when
        there is no connection, it broke or gave no answer, and then the next call connects anew; other psycopg.Errors
        as they come.
        """
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
        """`run` for a statement that changes nothing."""
        return self.read_all(tenant_id, (statement, params), answer_s=answer_s)[0]

    def read_all(
        self, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
    ) -> list[list[Row]]:
        """`run_all` for statements that change nothing: once more, when the connection had died since its last use. A
        report has no time to be sent again after it had no answer."""
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
                    connect_timeout=_CONNECT_S,
                    # Whatever PGCLIENTENCODING says: the texts of models and users are of every script.
                    client_encoding="utf8",
                    **_KEEPALIVE,
                )
            except (psycopg.OperationalError, CredentialsUnavailable) as error:
                raise DatabaseUnavailable from error
            # Sent in the smallest type that holds it, a number would make another prepared statement of every size.
            connection.adapters.register_dumper(int, Int8Dumper)
            self._pipeline = Pipeline(connection, prepares=self._address.prepares, answer_s=self._answer_s)
        return self._pipeline


@cache
def database() -> Database:
    """This process's database. It connects when it is first used, so a snapshot or a fork holds no connection."""
    return Database(settings().app_database_url, answer_s=ANSWER_S)


@cache
def operations_database() -> Database:
    """The same in the role for operations, which sees every tenant."""
    return Database(operations_settings().ops_database_url)


@cache
def operator_database() -> Database:
    """The same in the operator's role, which sets limits and reads usage of every tenant."""
    return Database(operator_settings().operator_database_url)


@cache
def key_database() -> Database:
    """The same in the role that looks up API keys. The authorizer answers within 10 s."""
    return Database(authorizer_settings().auth_database_url, answer_s=KEY_ANSWER_S)
