"""Send several statements together: one write, one round trip, one implicit transaction.

psycopg's own pipeline writes each statement separately and waits four times for one exchange, which took a fifth of a
turn's own time. This uses the same connection, types and errors. Either every answer of an exchange is read in time, or
the connection is closed.
"""

import select
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

# Looked up once, because reading an Enum's member is slower than the comparison.
_BAD = ConnStatus.BAD.value
_COMMAND_OK, _TUPLES_OK = ExecStatus.COMMAND_OK.value, ExecStatus.TUPLES_OK.value
_FATAL_ERROR, _PIPELINE_SYNC = ExecStatus.FATAL_ERROR.value, ExecStatus.PIPELINE_SYNC.value
_READ, _WRITE = select.POLLIN, select.POLLOUT
# SQLSTATEs of a prepared statement that is gone or does not fit the schema. Only a new connection prepares it again.
_STALE = frozenset({"0A000", "26000"})


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time."""


class _Prepared:
    """A statement that Postgres keeps under `name`. Its columns are known after its first answer."""

    __slots__ = ("columns", "key", "name")

    def __init__(self, key: tuple[str, tuple[int, ...]], name: bytes) -> None:
        self.key = key
        self.name = name
        self.columns: tuple[str, ...] = ()


class Pipeline:
    """Runs exchanges over one connection. Statements are prepared at first use if `prepares`."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool = True, answer_s: float = 25.0) -> None:
        """`connection` is in autocommit, and is used only here: it stays in libpq's pipeline mode, and psycopg itself
        would drop the prepared statements. An exchange may take `answer_s` seconds."""
        self.connection = connection
        self._pgconn = connection.pgconn
        self._pgconn.enter_pipeline_mode()
        # Shared by all exchanges, because it looks up the conversion of a type only once.
        self._transformer = Transformer(connection)
        self._prepares = prepares
        self._answer_s = answer_s
        # By text and parameter types, because Postgres plans for both.
        self._prepared: dict[tuple[str, tuple[int, ...]], _Prepared] = {}
        # The deadline of the exchange, on this process's monotonic clock.
        self._until = 0.0
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, _READ)

    def run(
        self, work: Sequence[tuple[str, Sequence[object]]], *, unread: int = 0, answer_s: float | None = None
    ) -> list[list[dict[str, Any]]]:
        """Run statements, each with its values, and return the rows of all but the first `unread`. `answer_s` overrides
        the connection's own.

        Raises Postgres's error for the first statement that failed, and then none has an effect. Raises
        psycopg.OperationalError if the connection broke, and NoAnswer after a timeout."""
        self._until = time.monotonic() + (answer_s or self._answer_s)
        try:
            sent = [self._send(text, values) for text, values in work]
            self._pgconn.pipeline_sync()
            results = self._results()
        except BaseException:
            # Answers of an interrupted exchange would be read as those of the next.
            self.connection.close()
            raise
        return self._read(sent, results, unread)

    def hung_up(self) -> bool:
        """Whether the server has closed an idle connection, as in a failover. An idle server sends only this, or
        notices that allow a new connection."""
        return bool(self._poll.poll(0))

    def _send(self, text: str, values: Sequence[object]) -> tuple[_Prepared | None, bool]:
        """Queue a statement, and its preparation if it is new. Returns whether it was prepared."""
        transformer = self._transformer
        dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types = transformer.types or ()
        if not self._prepares:
            self._pgconn.send_query_params(text.encode(), dumped, types, transformer.formats)
            return None, False
        key = (text, types)
        known = self._prepared.get(key)
        prepared = known or _Prepared(key, f"pantheon_{len(self._prepared)}".encode())
        if known is None:
            self._pgconn.send_prepare(prepared.name, text.encode(), types)
            self._prepared[key] = prepared
        self._pgconn.send_query_prepared(prepared.name, dumped, transformer.formats)
        return prepared, known is None

    def _results(self) -> list[PGresult]:
        pgconn, results = self._pgconn, list[PGresult]()
        while pgconn.flush():
            self._wait(_READ | _WRITE)
            pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                self._wait(_READ)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                if pgconn.status == _BAD:
                    raise psycopg.OperationalError(pgconn.get_error_message())
            elif result.status == _PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _wait(self, events: int) -> None:
        if events != _READ:
            self._poll.modify(self._pgconn.socket, events)
        # Read an answer that has arrived, even if this process slept past the deadline.
        ready = self._poll.poll(max(0.0, self._until - time.monotonic()) * 1000)
        if not ready:
            raise NoAnswer("the server did not answer in time")
        if events != _READ:
            self._poll.modify(self._pgconn.socket, _READ)

    def _read(
        self, sent: Sequence[tuple[_Prepared | None, bool]], results: Sequence[PGresult], unread: int
    ) -> list[list[dict[str, Any]]]:
        remaining, answers = iter(results), list[tuple[_Prepared | None, PGresult]]()
        for prepared, preparing in sent:
            if preparing and prepared and next(remaining).status != _COMMAND_OK:
                del self._prepared[prepared.key]
            answers.append((prepared, next(remaining)))
        for result in results:
            if result.status == _FATAL_ERROR:
                error = error_from_result(result, self.connection.info.encoding)
                if error.sqlstate in _STALE:
                    self.connection.close()
                raise error
        return [self._rows(prepared, result) for prepared, result in answers[unread:]]

    def _rows(self, prepared: _Prepared | None, result: PGresult) -> list[dict[str, Any]]:
        if result.status != _TUPLES_OK:
            return []
        self._transformer.set_pgresult(result)
        names = prepared.columns if prepared else ()
        if not names:
            names = tuple((result.fname(column) or b"").decode() for column in range(result.nfields))
        if prepared:
            prepared.columns = names
        return self._transformer.load_rows(0, result.ntuples, lambda values: dict(zip(names, values, strict=True)))
