"""Tests exchanges of several statements: all or none are done, and each answer belongs to its statement."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.db.pipeline import Pipeline
from tests.support.council_room import DatabaseUrls

INSERT = "INSERT INTO kept (number) VALUES ($1)"
COUNT = "SELECT count(*) AS kept FROM kept"


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
def pipeline(request: pytest.FixtureRequest, empty_database: DatabaseUrls) -> Iterator[Pipeline]:
    with psycopg.connect(empty_database.owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number integer NOT NULL)")
        yield Pipeline(connection, prepares=request.param)


def kept(pipeline: Pipeline) -> int:
    ((row,),) = pipeline.run([(COUNT, ())])
    return int(row["kept"])


def test_each_statement_gets_its_own_rows(pipeline: Pipeline) -> None:
    for _ in range(3):
        rows = pipeline.run([("SELECT $1::int AS a, $2::text AS b", (1, "x")), (INSERT, (7,)), (COUNT, ())])
        assert rows[0] == [{"a": 1, "b": "x"}]
        assert rows[1] == []
    assert kept(pipeline) == 3


@pytest.mark.parametrize(
    "value", [None, "", "Grüße 👋", 2**40, Decimal("0.10"), uuid4(), True, 1.5, ["a", 'b"c'], "x" * 5_000_000]
)
def test_a_value_comes_back_as_it_was_sent(pipeline: Pipeline, value: Any) -> None:
    kinds = {int: "bigint", Decimal: "numeric", bool: "boolean", float: "float8", list: "text[]", str: "text"}
    kind = kinds.get(type(value), "uuid")
    assert pipeline.run([(f"SELECT $1::{kind} AS value", (value,))]) == [[{"value": value}]]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ((INSERT, (None,)), psycopg.errors.NotNullViolation),
        (("INSERT INTO nowhere VALUES (1)", ()), psycopg.errors.UndefinedTable),
        (("SELEKT", ()), psycopg.errors.SyntaxError),
        (("SELECT 1 / $1::int", (0,)), psycopg.errors.DivisionByZero),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_exchange_is_rolled_back_when_one_statement_fails(
    pipeline: Pipeline, broken: tuple[str, tuple[object, ...]], error: type[psycopg.Error], position: int
) -> None:
    work = [(INSERT, (1,)), (INSERT, (2,))]
    work.insert(position, broken)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(error):
            pipeline.run(work)
        assert kept(pipeline) == 0
    pipeline.run([(INSERT, (1,)), (INSERT, (2,))])
    assert kept(pipeline) == 2


def test_error_at_the_commit_is_raised(pipeline: Pipeline, empty_database: DatabaseUrls) -> None:
    pipeline.run([("CREATE TABLE parents (id int PRIMARY KEY)", ())])
    pipeline.run([("CREATE TABLE late (id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)", ())])
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        pipeline.run([("INSERT INTO late VALUES ($1)", (1,))])
    assert kept(pipeline) == 0


def test_interrupted_exchange_closes_the_connection(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run([("SELECT pg_sleep(0.2)", ())])
    monkeypatch.undo()
    with pytest.raises(psycopg.OperationalError):
        pipeline.run([(COUNT, ())])


def test_cut_connection_raises_its_own_error(pipeline: Pipeline) -> None:
    with pytest.raises(psycopg.OperationalError):
        pipeline.run([(INSERT, (1,)), ("SELECT pg_terminate_backend(pg_backend_pid())", ()), (INSERT, (2,))])
    with pytest.raises(psycopg.OperationalError):
        pipeline.run([(COUNT, ())])


def test_a_statement_that_the_schema_outgrew_is_prepared_again(owner: psycopg.Connection[Any], app_url: str) -> None:
    """The connection is closed, because Postgres refuses the prepared statement for the connection's lifetime."""
    owner.execute("CREATE TABLE outgrown (one integer)")
    owner.execute("GRANT SELECT ON outgrown TO pantheon_app")
    try:
        with psycopg.connect(app_url, autocommit=True) as connection:
            pipeline = Pipeline(connection)
            pipeline.run([("SELECT * FROM outgrown", ())])
            owner.execute("ALTER TABLE outgrown ADD COLUMN two integer")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                pipeline.run([("SELECT * FROM outgrown", ())])
            assert connection.closed
    finally:
        owner.execute("DROP TABLE outgrown")
