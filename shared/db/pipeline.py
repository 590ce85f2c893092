"""Statements that are sent together and answered together: one write, one round trip, one implicit transaction.

psycopg's own pipeline writes each statement when it is added, and waits four times for what is one exchange; that took
a fifth of a turn's own time. This is the same exchange on the same connection, with psycopg's types and errors. The
rule this file protects: either every answer of an exchange was read, up to its end, or the connection is closed.
"""

import select
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

_READ, _WRITE = select.POLLIN, select.POLLOUT


class Pipeline:
    """Exchanges over one connection, whose statements are prepared at first use, unless `prepares` is false."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool = True) -> None:
        """`connection` is in autocommit, and used here alone: psycopg's own way would drop what is prepared here."""
        self.connection = connection
        self._prepares = prepares
        # By text and types of parameters, since Postgres plans for both.
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._poll = select.poll()
        self._poll.register(connection.pgconn.socket, _READ | _WRITE)

    def run(self, work: Sequence[tuple[str, Sequence[object]]]) -> list[list[dict[str, Any]]]:
        """Run statements, each with its values, and return the rows of each. Raises what Postgres said of the first
        that failed, and then none of them has happened; psycopg.OperationalError when the connection broke."""
        try:
            self.connection.pgconn.enter_pipeline_mode()
            sent = [self._send(text, values) for text, values in work]
            self.connection.pgconn.pipeline_sync()
            results = self._results()
            self.connection.pgconn.exit_pipeline_mode()
        except BaseException:
            # An exchange that was broken off would be answered to the next one.
            self.connection.close()
            raise
        return self._read(sent, results)

    def _send(self, text: str, values: Sequence[object]) -> tuple[str, tuple[int, ...]] | None:
        """Put a statement in line, and before it its preparation, which is then what is returned."""
        pgconn, transformer = self.connection.pgconn, Transformer(self.connection)
        dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, formats = transformer.types or (), transformer.formats
        if not self._prepares:
            pgconn.send_query_params(text.encode(), dumped, types, formats)
            return None
        name = self._prepared.get((text, types))
        preparing = None if name else (text, types)
        if name is None:
            name = f"pantheon_{len(self._prepared)}".encode()
            pgconn.send_prepare(name, text.encode(), types)
            self._prepared[(text, types)] = name
        pgconn.send_query_prepared(name, dumped, formats)
        return preparing

    def _results(self) -> list[PGresult]:
        """Every answer of the exchange, up to the one of its Sync."""
        pgconn, results = self.connection.pgconn, list[PGresult]()
        while pgconn.flush():
            self._wait(_READ | _WRITE)
            pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                self._wait(_READ)
                pgconn.consume_input()
            result = pgconn.get_result()
            if pgconn.status == ConnStatus.BAD:
                raise psycopg.OperationalError(pgconn.get_error_message())
            if result is not None:
                if result.status == ExecStatus.PIPELINE_SYNC:
                    return results
                results.append(result)

    def _wait(self, events: int) -> None:
        self._poll.modify(self.connection.pgconn.socket, events)
        self._poll.poll()

    def _read(
        self, sent: Sequence[tuple[str, tuple[int, ...]] | None], results: list[PGresult]
    ) -> list[list[dict[str, Any]]]:
        remaining, rows = iter(results), []
        failed: PGresult | None = None
        for preparing in sent:
            if preparing and next(remaining).status != ExecStatus.COMMAND_OK:
                del self._prepared[preparing]
            result = next(remaining)
            rows.append(self._rows(result))
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                failed = failed or result
        if failed is not None:
            raise error_from_result(failed, self.connection.info.encoding)
        return rows

    def _rows(self, result: PGresult) -> list[dict[str, Any]]:
        if result.status != ExecStatus.TUPLES_OK:
            return []
        transformer = Transformer(self.connection)
        transformer.set_pgresult(result)
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        return transformer.load_rows(0, result.ntuples, lambda values: dict(zip(names, values, strict=True)))
