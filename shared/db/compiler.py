"""SQLAlchemy Core to psycopg's text.

The rule this file protects: what is written into an expression is a constant for the planner, and what varies is a
parameter; and no request waits for a text to be made.
"""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.sql import ClauseElement


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


def compiled(clause: ClauseElement) -> tuple[str, tuple[str, ...]]:
    """The text of `clause`, and the names of its parameters in the order of their numbers."""
    result: Any = clause.compile(dialect=_DIALECT)
    return str(result), tuple(result.positiontup or ())
