"""The one connection of a process, when the server ends it."""

from sqlalchemy import literal, select

from shared.db.engine import Statement
from tests.council_room import CouncilRoom, wait_for

_BACKEND = Statement(select(literal(1).label("one")))


def test_a_write_after_a_failover_goes_over_a_new_connection(room: CouncilRoom) -> None:
    """Nothing is sent over the dead one, so nothing is in doubt."""
    room.take("@writer hello")
    room.cut_connections()
    wait_for(
        lambda: room.row("SELECT count(*) AS left FROM pg_stat_activity WHERE usename = 'pantheon_app'")["left"] == 0
    )
    assert room.db.run("tenant-1", _BACKEND, {}) == [{"one": 1}]


def test_a_connection_that_lives_is_kept(room: CouncilRoom) -> None:
    def backends() -> list[int]:
        return [row["pid"] for row in room.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'pantheon_app'")]

    room.take("@writer hello")
    before = backends()
    room.take("@writer hello")
    assert backends() == before
