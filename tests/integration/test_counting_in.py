"""What no hold comes by to take is counted into its month's row by the sweeper, once, and within its time."""

from functools import partial
from types import SimpleNamespace

import pytest

from shared.db import settlements
from shared.db.accept import ACCEPT_AND_OPEN
from shared.errors import DatabaseUnavailable
from tests.council_room import DEADLINE_S, CouncilRoom
from tests.other_process import OtherProcess
from tests.watched_database import WatchedDatabase

TENANT = "tenant:tenant-1"


@pytest.fixture(autouse=True)
def settled_beside(room: CouncilRoom) -> None:
    """A hold and its release, beside the tenant's row."""
    take(room)
    with room.months_taken():
        take(room)
    assert room.settlements() == [(TENANT, 2)]


def take(room: CouncilRoom) -> None:
    assert room.take("@writer hello", session_id=room.make_session()).published


def make_months(room: CouncilRoom) -> None:
    """Two of the platform's, and two settlements of the second that no turn has made."""
    room.owner.execute("""
        INSERT INTO budgets (payer, period) VALUES ('platform', '2025-12-01'), ('platform', '2026-01-01');
        INSERT INTO budget_settlements (payer, period, held_usd, spent_usd)
        SELECT 'platform', '2026-01-01', 0, 1 FROM generate_series(1, 2)""")


def unmake_months(room: CouncilRoom) -> None:
    """They are in no ledger."""
    room.owner.execute("DELETE FROM budgets WHERE payer = 'platform'")


def rows(room: CouncilRoom) -> list[tuple[str, str, bool, int]]:
    """Payer and month, whether nothing is held, and the whole dollars spent."""
    found = room.rows("SELECT payer, period, held_usd, spent_usd FROM budgets ORDER BY payer, period")
    return [(row["payer"], f"{row['period']:%Y-%m}", row["held_usd"] == 0, int(row["spent_usd"])) for row in found]


def test_each_settlement_is_added_to_its_own_month_once(room: CouncilRoom, ops: WatchedDatabase) -> None:
    """A month may be over, and of any payer."""
    make_months(room)
    for _ in range(2):
        settlements.count_in(ops, DEADLINE_S)
    assert room.settlements() == []
    (this_month,) = room.row("SELECT to_char(max(period), 'YYYY-MM') FROM llm_calls").values()
    assert rows(room) == [
        ("platform", "2025-12", True, 0),
        ("platform", "2026-01", True, 2),
        (TENANT, this_month, True, 0),
    ]
    unmake_months(room)


def test_who_waits_for_a_hold_takes_none_of_its_settlements_again(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    other.comes_second(ACCEPT_AND_OPEN, partial(settlements.count_in, ops, DEADLINE_S))
    take(room)
    other.result()
    assert room.settlements() == []


def test_a_hold_that_waits_for_it_takes_none_of_its_settlements_again(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    room.limit(1)
    part = partial(other.take, "@writer hello", session_id=room.make_session())
    other.comes_second(settlements._COUNT_IN, part, first=ops)
    settlements.count_in(ops, DEADLINE_S)
    assert other.result().published
    assert room.settlements() == []


def test_it_waits_for_the_row_before_it_takes_what_is_beside_it(
    room: CouncilRoom, other: OtherProcess, ops: WatchedDatabase
) -> None:
    with room.months_taken() as somebody:
        counted = other.start(partial(settlements.count_in, ops, DEADLINE_S))
        room.wait_until_blocked()
        assert somebody.execute("SELECT FROM budget_settlements FOR UPDATE NOWAIT").rowcount == 2
    counted.result(DEADLINE_S)
    assert room.settlements() == []


def test_it_waits_no_longer_than_it_may(room: CouncilRoom, ops: WatchedDatabase) -> None:
    with room.months_taken(), pytest.raises(DatabaseUnavailable):
        settlements.count_in(ops, 0.05)
    assert room.settlements() == [(TENANT, 2)]


def test_it_ends_when_its_time_is_over(
    room: CouncilRoom, ops: WatchedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first of two months, and the other is the next minute's."""
    make_months(room)
    clock = iter([0.0, DEADLINE_S - 1, DEADLINE_S])
    with monkeypatch.context() as patched:
        patched.setattr(settlements, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        settlements.count_in(ops, DEADLINE_S)
    assert len(room.settlements()) == 1
    settlements.count_in(ops, DEADLINE_S)
    assert room.settlements() == []
    unmake_months(room)
