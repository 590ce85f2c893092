"""A database that a test can stop at a statement: before it is sent, between its end and its commit, or after that.

Production sends a statement's parts together, so that they have no moment between them. A test sends them one by one in
an explicit transaction, and stops between two of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from shared.db.engine import _SET_TENANT, LONG_ANSWER_S, Database, Params, Row, Statement
from shared.db.statement import Part
from shared.errors import DatabaseUnavailable

Hook = Callable[[], object]
# Runs a statement's parts, and calls back after each of them.
Execute = Callable[[Statement, Params, Callable[[Part], object]], list[Row]]


@contextmanager
def transaction(db: Database, tenant_id: str | None) -> Iterator[Execute]:
    """An explicit transaction. Leaving the block by an error undoes everything."""
    pipeline = db._connected()

    def execute(statement: Statement, params: Params, after: Callable[[Part], object]) -> list[Row]:
        answers: list[list[Row]] = []
        for part in statement.parts:
            if part.needs is None or params[part.needs] is not None:
                answers += pipeline.run(Statement(part).sent(params))
                after(part)
        return statement.rows(answers)

    with db._watched(pipeline):
        pipeline.run([("BEGIN", ()), *([] if tenant_id is None else [(_SET_TENANT, (tenant_id,))])])
        try:
            yield execute
        except BaseException:
            # Where the connection is gone, so is the transaction.
            with suppress(psycopg.Error):
                pipeline.run([("ROLLBACK", ())])
            raise
        pipeline.run([("COMMIT", ())])


class WatchedDatabase(Database):
    """Runs the hooks that were added for a statement, each once and in turn."""

    def __init__(self, url: str, *, answer_s: float = LONG_ANSWER_S) -> None:
        super().__init__(url, answer_s=answer_s)
        self._before: dict[Statement, list[Hook]] = {}
        self._held: dict[tuple[Statement | None, str | None], list[Hook]] = {}
        self._unanswered: set[Statement] = set()

    def before(self, statement: Statement, hook: Hook) -> None:
        """Run `hook` before the next `statement` is sent."""
        self._before.setdefault(statement, []).append(hook)

    def hold(self, statement: Statement | None, hook: Hook, part: str | None = None) -> None:
        """Run `hook` when the next `statement`, None for any, holds its locks uncommitted: when all of its work is
        done, or the part of this name."""
        self._held.setdefault((statement, part), []).append(hook)

    def lose_answer(self, statement: Statement) -> None:
        """Let the next `statement` be committed, and its runner not hear of it."""
        self._unanswered.add(statement)

    def run_all(
        self, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
    ) -> list[list[Row]]:
        for statement, _ in work:
            if self._before.get(statement):
                self._before[statement].pop(0)()
        rows = self._run_all(tenant_id, *work, answer_s=answer_s)
        for statement, _ in work:
            if statement in self._unanswered:
                self._unanswered.remove(statement)
                raise DatabaseUnavailable
        return rows

    def _run_all(
        self, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None
    ) -> list[list[Row]]:
        watched = {statement for (statement, _), hooks in self._held.items() if hooks}
        if not watched or (None not in watched and not any(statement in watched for statement, _ in work)):
            return super().run_all(tenant_id, *work, answer_s=answer_s)
        rows = []
        with transaction(self, tenant_id) as execute:
            for statement, params in work:

                def after(part: Part, statement: Statement = statement) -> None:
                    self._come_by(statement, part.name)

                rows.append(execute(statement, params, after))
                self._come_by(statement, None)
        return rows

    def _come_by(self, statement: Statement, part: str | None) -> None:
        hooks = self._held.get((statement, part)) or self._held.get((None, part))
        if hooks:
            hooks.pop(0)()
