"""A database that a test can stop at a statement: before it is sent, between its end and its commit, or after that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.db.engine import LONG_ANSWER_S, Database, Params, Row, Statement
from shared.errors import DatabaseUnavailable

Hook = Callable[[], object]


class WatchedDatabase(Database):
    """Runs the hooks that were added for a statement, each once and in turn."""

    def __init__(self, url: str, *, answer_s: float = LONG_ANSWER_S) -> None:
        super().__init__(url, answer_s=answer_s)
        self._before: dict[Statement, list[Hook]] = {}
        self._held: dict[Statement | None, list[Hook]] = {}
        self._unanswered: set[Statement] = set()

    def before(self, statement: Statement, hook: Hook) -> None:
        """Run `hook` before the next `statement` is sent."""
        self._before.setdefault(statement, []).append(hook)

    def hold(self, statement: Statement | None, hook: Hook) -> None:
        """Run `hook` when the next `statement`, None for any, has done its work and holds its locks, uncommitted."""
        self._held.setdefault(statement, []).append(hook)

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
        if not any(self._hooks(statement) for statement, _ in work):
            return super().run_all(tenant_id, *work, answer_s=answer_s)
        # Operations work without a tenant.
        with self.transaction(tenant_id or "") as execute:
            return [execute(statement, params) for statement, params in work]

    @contextmanager
    def transaction(self, tenant_id: str) -> Iterator[Callable[[Statement, Params], list[Row]]]:
        with super().transaction(tenant_id) as execute:

            def watched(statement: Statement, params: Params) -> list[Row]:
                rows = execute(statement, params)
                if hooks := self._hooks(statement):
                    hooks.pop(0)()
                return rows

            yield watched

    def _hooks(self, statement: Statement) -> list[Hook]:
        return self._held.get(statement) or self._held.get(None) or []
