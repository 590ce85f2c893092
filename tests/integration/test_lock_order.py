"""Tests the order of locks: sessions, tenants, turns, llm_calls, budgets. Each step stops after each part."""

from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from shared.db.protocol import ACCEPT, CLAIM, OPEN, PUBLISH, RECORD, RELEASE
from shared.db.statement import Statement
from shared.errors import DatabaseUnavailable, JournalUnavailable
from tests.support.council_room import AMPLE_S, CouncilRoom

MESSAGE = "@writer @critic hello"
TABLES = ("sessions", "tenants", "turns", "llm_calls", "budgets")


def locked(room: CouncilRoom) -> set[str]:
    """Return the tables in which another connection has locked or inserted an uncommitted row."""
    found = set[str]()
    with psycopg.connect(room.owner_url) as someone:
        for table in TABLES:
            all_rows = someone.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            free = someone.execute(f"SELECT FROM {table} FOR UPDATE SKIP LOCKED".encode()).rowcount
            if all_rows != (free,):
                found.add(table)
    return found


def take(room: CouncilRoom) -> None:
    room.take(MESSAGE)


def hand_over(room: CouncilRoom) -> None:
    left = iter([AMPLE_S])
    room.take(MESSAGE, runner=room.runner(seconds_left=lambda: next(left, 0.0)))


def fail_to_ask(room: CouncilRoom) -> None:
    def fail() -> None:
        raise DatabaseUnavailable

    room.db.before(OPEN, fail)
    with pytest.raises(JournalUnavailable):
        room.take(MESSAGE)


def resume(room: CouncilRoom) -> None:
    hand_over(room)
    room.resume(room.row("SELECT id FROM turns")["id"])


STEPS: dict[str, tuple[Statement, str, Callable[[CouncilRoom], None]]] = {
    "ask": (OPEN, "fence", take),
    "publish": (PUBLISH, "fence", take),
    "release": (RELEASE, "fence", hand_over),
    "record": (RECORD, "fence", fail_to_ask),
    "claim": (CLAIM, "locked", resume),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_locks_its_turn_before_it_looks_at_calls(room: CouncilRoom, step: str) -> None:
    statement, part, run = STEPS[step]
    seen: list[set[str]] = []
    room.db.hold(statement, lambda: seen.append(locked(room)), part)
    run(room)
    assert seen == [{"turns"}]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (ACCEPT, [{"sessions"}, *[{"sessions", "tenants"}] * 3, *[{"sessions", "tenants", "budgets"}] * 2]),
        (OPEN, [{"turns"}, {"turns", "llm_calls"}, {"turns", "llm_calls", "budgets"}]),
        (PUBLISH, [{"turns"}] * 3 + [{"turns", "llm_calls"}] * 3 + [{"turns", "llm_calls", "budgets"}]),
    ],
    ids=["accept", "ask", "publish"],
)
def test_the_month_is_locked_last(room: CouncilRoom, statement: Statement, expected: list[set[str]]) -> None:
    """Other transactions do not see uncommitted inserts. An earlier turn made the month's row."""
    room.take("@writer hello")
    seen: list[set[str]] = []
    for part in statement.parts:
        room.db.hold(statement, partial(lambda: seen.append(locked(room))), part.name)
    room.take(MESSAGE)
    assert seen == expected
