"""Compile SQLAlchemy Core clauses to statements, when their module is imported.

A value that is written into a clause is a constant for the planner. Only a `bindparam` is a parameter.
"""

from typing import Any

from sqlalchemy import Cast, Column, bindparam, cast
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.sql import ClauseElement

from shared.db.statement import Part, Statement


class _Compiler(PGCompiler_psycopg):
    """Renders only `bindparam`s as parameters, because the planner matches a partial index with a constant only."""

    def visit_bindparam(self, bindparam: Any, *args: Any, **kwargs: Any) -> Any:
        if not bindparam.required:
            kwargs["literal_binds"] = True
        return super().visit_bindparam(bindparam, *args, **kwargs)  # type: ignore[no-untyped-call]


# Numbered parameters, as Postgres has them: psycopg would search the whole text for named ones at each run.
_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_DIALECT.statement_compiler = _Compiler
# Each statement names the schema of a table, so that search_path cannot select another table.
_SCHEMAS: dict[str | None, str | None] = {None: "public"}


def compiled(clause: ClauseElement) -> Statement:
    """The statement of `clause`, whose parameters are its `bindparam`s."""
    result: Any = clause.compile(dialect=_DIALECT, schema_translate_map=_SCHEMAS, render_schema_translate=True)
    return Statement(Part("statement", str(result), tuple(result.positiontup or ())))


def typed(name: str, column: Column[Any]) -> Cast[Any]:
    """A parameter with the type of `column`, where nothing around it tells Postgres its type."""
    return cast(bindparam(name, type_=column.type), column.type)
