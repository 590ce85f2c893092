"""Compile SQLAlchemy Core clauses to statements when their module is imported.

A value in a clause is a constant for the planner. Only a `bindparam` is a parameter.
"""

from typing import Any

from sqlalchemy import Cast, Column, bindparam, cast
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.sql import ClauseElement

from shared.db.statement import Part, Statement


class _Compiler(PGCompiler_psycopg):
    """Renders only `bindparam`s as parameters, because the planner matches partial indexes only with constants."""

    def visit_bindparam(self, bindparam: Any, *args: Any, **kwargs: Any) -> Any:
        if not bindparam.required:
            kwargs["literal_binds"] = True
        return super().visit_bindparam(bindparam, *args, **kwargs)  # type: ignore[no-untyped-call]


# Postgres's numbered parameters. For named ones, psycopg would search the whole text at each run.
_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_DIALECT.statement_compiler = _Compiler
# Each table is named with its schema, so that search_path cannot select another one.
_SCHEMAS: dict[str | None, str | None] = {None: "public"}


def compiled(clause: ClauseElement) -> Statement:
    result: Any = clause.compile(dialect=_DIALECT, schema_translate_map=_SCHEMAS, render_schema_translate=True)
    return Statement(Part("statement", str(result), tuple(result.positiontup or ())))


def typed(name: str, column: Column[Any]) -> Cast[Any]:
    """Return a parameter cast to the type of `column`, where Postgres cannot infer its type."""
    return cast(bindparam(name, type_=column.type), column.type)
