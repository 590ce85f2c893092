"""Tests a process's one connection when the server ends it."""

import pytest
from sqlalchemy import BigInteger, bindparam, func, literal, select, text

from shared.db.compiler import compiled
from tests.support.council_room import CouncilRoom, wait_for

_NUMBER = compiled(select(bindparam("b_number", type_=BigInteger).label("number")))
_PREPARED = compiled(select(func.count().label("prepared")).select_from(text("pg_prepared_statements")))
_BACKEND = compiled(select(literal(1).label("one")))


def test_a_write_after_a_failover_goes_over_a_new_connection(room: CouncilRoom) -> None:
    """Nothing is sent over the dead connection, so every outcome is certain."""
    room.take("@writer hello")
    room.cut_connections()
    wait_for(
        lambda: room.row("SELECT count(*) AS left FROM pg_stat_activity WHERE usename = 'pantheon_app'")["left"] == 0
    )
    assert room.db.run("tenant-1", _BACKEND, {}) == [{"one": 1}]


def test_living_connection_is_kept(room: CouncilRoom) -> None:
    def backends() -> list[int]:
        return [row["pid"] for row in room.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'pantheon_app'")]

    room.take("@writer hello")
    before = backends()
    room.take("@writer hello")
    assert backends() == before


def test_a_statement_is_prepared_once_whatever_the_size_of_its_numbers(room: CouncilRoom) -> None:
    def prepared() -> int:
        return int(room.db.run("tenant-1", _PREPARED, {})[0]["prepared"])

    prepared()
    before = prepared()
    for number in (1, 40_000, 3_000_000_000, -1):
        assert room.db.run("tenant-1", _NUMBER, {"b_number": number}) == [{"number": number}]
    assert prepared() == before + 1


def test_a_statement_without_one_of_its_parameters_is_not_run(room: CouncilRoom) -> None:
    with pytest.raises(KeyError, match="b_number"):
        room.db.run("tenant-1", _NUMBER, {})
    assert room.db.run("tenant-1", _BACKEND, {}) == [{"one": 1}]
