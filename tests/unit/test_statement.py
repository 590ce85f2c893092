"""Tests how `.sql` files are read: parts, includes and parameters."""

import pytest

from shared.db.statement import Part, Statement, load

FILES = {
    "one": (
        "-- A comment: of :nothing.\n-- part only\n-- Why.\n"
        "SELECT :a::text, ':a', '--:b', x -- :c ?\nFROM t WHERE y = :b;\n"
    ),
    "two": "-- part first\nSELECT :a;\n\n-- include shared\n\n-- part last ? b\nSELECT :b, :a, :b;\n",
    "shared": "-- part middle\nSELECT 'it''s :a' AS text;\n",
}


def parts(name: str) -> tuple[Part, ...]:
    return load(name, FILES.__getitem__).parts


def test_statement_has_numbers_for_names_and_no_comments() -> None:
    (only,) = parts("one")
    assert only == Part("only", "SELECT $1::text, ':a', '--:b', x\nFROM t WHERE y = $2", ("a", "b"))


def test_parts_follow_the_order_of_the_file_and_its_includes() -> None:
    assert parts("two") == (
        Part("first", "SELECT $1", ("a",)),
        Part("middle", "SELECT 'it''s :a' AS text", ()),
        Part("last", "SELECT $1, $2, $1", ("b", "a"), needs="b"),
    )


def test_part_is_left_out_when_its_parameter_is_none() -> None:
    statement = load("two", FILES.__getitem__)
    assert [values for _, values in statement.sent({"a": 1, "b": None})] == [[1], []]
    assert [values for _, values in statement.sent({"a": 1, "b": 2})] == [[1], [], [2, 1]]


def test_a_parameter_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        load("one", FILES.__getitem__).sent({"a": 1})


def test_one_part_returns_its_rows_and_several_return_one_row() -> None:
    rows = [{"n": 1}, {"n": 2}]
    assert Statement(*parts("one")).rows([rows]) == rows
    assert Statement(*parts("two")).rows([rows, [], [{"m": 3}]]) == [{"n": 1, "m": 3}]
    assert Statement(*parts("two")).rows([[], []]) == [{}]
