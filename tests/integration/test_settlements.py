"""What is released and spent is written beside the month's row: nobody waits for that row but holds, and every
settlement counts once, wherever it stands."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from shared.db import settlements
from shared.db.accept import ACCEPT_AND_OPEN
from shared.db.engine import Row
from shared.db.journal import OPEN
from shared.db.publish import PUBLISH
from shared.errors import BudgetExceeded, DatabaseUnavailable
from shared.llm.port import Completion, Request
from shared.names import Role
from tests.council_room import DEADLINE_S, CouncilRoom, DatabaseUrls, answer, body
from tests.other_process import OtherProcess
from tests.watched_database import WatchedDatabase

ANOTHER_MONTH = "2026-01-01"


@pytest.fixture
def operations(database_urls: DatabaseUrls) -> Iterator[WatchedDatabase]:
    db = WatchedDatabase(database_urls.of(Role.OPS))
    yield db
    db.close()


def take(room: CouncilRoom, message: str = "@writer hello") -> Any:
    return room.take(message, session_id=room.make_session())


def waiting(room: CouncilRoom) -> list[tuple[str, int]]:
    """How many settlements no month's row has yet, by their payers."""
    found = room.rows("SELECT payer, count(*) AS n FROM budget_settlements GROUP BY payer ORDER BY payer")
    return [(row["payer"], row["n"]) for row in found]


def adds_up(room: CouncilRoom, *, turns: int) -> bool:
    """Nothing is held, and what was posted of so many turns is spent."""
    posted = room.row(
        "SELECT count(DISTINCT turn_id) AS turns, sum(amount_usd) AS usd FROM usage_ledger WHERE account = 'tenant'"
    )
    return posted["turns"] == turns and room.budget(payer(room)) == {"held_usd": 0, "spent_usd": posted["usd"]}


def payer(room: CouncilRoom) -> str:
    return f"tenant:{room.tenant_id}"


def settle_beside(
    room: CouncilRoom, *, payer: str, period: str = "date_trunc('month', now() AT TIME ZONE 'UTC')"
) -> None:
    """A settlement that no test's turn has made: the invariants would miss its entry in the ledger."""
    values = f"VALUES ('{payer}', {period}, 0, 1)"
    room.owner.execute(f"INSERT INTO budget_settlements (payer, period, held_usd, spent_usd) {values}".encode())


def test_a_turn_is_published_while_a_hold_of_its_month_is_not_yet_committed(
    room: CouncilRoom, other: OtherProcess
) -> None:
    asked, held = threading.Event(), threading.Event()

    def wait(_: Request) -> Completion:
        asked.set()
        assert held.wait(DEADLINE_S)
        return answer()

    other.provider.enqueue(wait)
    first = other.start(partial(other.take, "@writer hello", session_id=room.make_session()))
    assert asked.wait(DEADLINE_S)
    published: list[bool] = []

    def publish_first() -> None:
        held.set()
        published.append(first.result(DEADLINE_S).published)

    room.db.hold(ACCEPT_AND_OPEN, publish_first)
    assert take(room).published
    assert published == [True]
    assert adds_up(room, turns=2)


def test_a_turn_is_accepted_while_another_of_its_month_is_being_published(
    room: CouncilRoom, other: OtherProcess
) -> None:
    """What is not yet committed is not released either."""
    room.take("@writer hello")
    room.limit_to("spent_usd + 2 * (SELECT max(reserve_usd) FROM llm_calls)")
    accepted: list[bool] = []
    another = partial(other.take, "@writer hello", session_id=room.make_session())
    room.db.hold(PUBLISH, lambda: accepted.append(another().published))
    assert take(room).published
    assert accepted == [True]
    assert adds_up(room, turns=3)


def test_the_next_hold_of_the_month_takes_what_was_settled_into_its_row(room: CouncilRoom) -> None:
    take(room)
    assert waiting(room) == [(payer(room), 1)]
    seen: list[list[tuple[str, int]]] = []

    def look(_: Request) -> Completion:
        seen.append(waiting(room))
        return answer()

    room.provider.enqueue(look, look)
    take(room, "@writer @writer hello")
    take(room)
    assert seen == [[], []]
    assert waiting(room) == [(payer(room), 1)]


def test_what_is_settled_is_there_for_the_next_call_of_another_turn(room: CouncilRoom) -> None:
    """A limit that covers one call at a time."""
    take(room)
    room.limit_to("4 * spent_usd + (SELECT reserve_usd FROM llm_calls)")
    for _ in range(4):
        assert take(room).published
    with pytest.raises(BudgetExceeded):
        take(room)


@pytest.mark.parametrize("meets", ["a hold", "the sweeper"])
def test_who_waits_for_a_hold_that_has_taken_the_settlements_takes_none_of_them_again(
    room: CouncilRoom, other: OtherProcess, operations: WatchedDatabase, meets: str
) -> None:
    take(room)
    take(room)
    if meets == "a hold":
        part = partial(other.take, "@writer hello", session_id=room.make_session())
    else:
        part = partial(settlements.count_in, operations, DEADLINE_S)
    other.comes_second(ACCEPT_AND_OPEN, part)
    take(room)
    other.result()
    turns = 4 if meets == "a hold" else 3
    assert adds_up(room, turns=turns)


def test_a_hold_that_waits_for_the_sweeper_takes_none_of_its_settlements_again(
    room: CouncilRoom, other: OtherProcess, operations: WatchedDatabase
) -> None:
    take(room)
    part = partial(other.take, "@writer hello", session_id=room.make_session())
    other.comes_second(settlements._COUNT_IN, part, first=operations)
    settlements.count_in(operations, DEADLINE_S)
    assert other.result().published
    assert adds_up(room, turns=2)


def test_a_refused_turn_leaves_the_settlements_where_they_are(room: CouncilRoom) -> None:
    take(room)
    before = room.rows("SELECT * FROM budget_settlements")
    room.limit_to("spent_usd")
    with pytest.raises(BudgetExceeded):
        take(room)
    assert room.rows("SELECT * FROM budget_settlements") == before


def test_a_call_that_the_budget_refuses_takes_no_settlements_and_its_predecessors_outcome_stays(
    room: CouncilRoom, other: OtherProcess
) -> None:
    def spend(_: Request) -> Completion:
        assert other.take("@writer hello", session_id=room.make_session()).published
        room.limit(0)
        return answer("Roses.")

    room.provider.enqueue(spend)
    turn = body(take(room, "@writer @critic hello"))
    assert [(reply["status"], reply["text"]) for reply in turn["replies"]] == [
        ("completed", "Roses."),
        ("skipped", None),
    ]
    # Both turns' own.
    assert waiting(room) == [(payer(room), 2)]
    assert adds_up(room, turns=2)


@pytest.mark.parametrize("by", ["cancel", "claim"])
def test_a_runner_that_may_not_go_on_takes_no_settlements(room: CouncilRoom, other: OtherProcess, by: str) -> None:
    """Its statement writes no call, and is committed for the outcome's sake."""

    def stop() -> None:
        settled.append(waiting(room))
        if by == "cancel":
            room.owner.execute("UPDATE turns SET cancel_requested_at = now() WHERE status = 'running'")
        else:
            room.owner.execute("UPDATE turns SET lease_epoch = lease_epoch + 1 WHERE status = 'running'")

    def settle(_: Request) -> Completion:
        assert other.take("@writer hello", session_id=room.make_session()).published
        room.db.before(OPEN, stop)
        return answer()

    settled: list[list[tuple[str, int]]] = []
    room.provider.enqueue(settle)
    take(room, "@writer @critic hello")
    assert settled == [[(payer(room), 1)]]
    assert waiting(room) == [(payer(room), 1 if by == "claim" else 2)]
    room.expire_lease()
    for turn in room.rows("SELECT id FROM turns WHERE status = 'running'"):
        room.resume(turn["id"])
    assert adds_up(room, turns=2)


def test_a_hold_takes_its_own_payers_settlements_of_its_own_month(room: CouncilRoom) -> None:
    others = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
    with others.databases:
        take(others)
    take(room)
    settle_beside(room, payer=payer(room), period=f"'{ANOTHER_MONTH}'")
    take(room)
    assert waiting(room) == [(payer(room), 2), ("tenant:tenant-2", 1)]
    room.owner.execute("DELETE FROM budget_settlements WHERE period = %s", (ANOTHER_MONTH,))


class TestTheSweeper:
    def month(self, room: CouncilRoom, who: str) -> list[Row]:
        return room.rows("SELECT period::text, held_usd, spent_usd FROM budgets WHERE payer = %s ORDER BY 1", who)

    def test_counts_in_what_no_hold_takes(self, room: CouncilRoom, operations: WatchedDatabase) -> None:
        """The platform may have no row yet, and a month may be over."""
        take(room)
        for _ in range(2):
            settle_beside(room, payer="platform", period=f"'{ANOTHER_MONTH}'")
        settlements.count_in(operations, DEADLINE_S)
        settlements.count_in(operations, DEADLINE_S)
        assert waiting(room) == []
        assert self.month(room, "platform") == [{"period": ANOTHER_MONTH, "held_usd": 0, "spent_usd": 2}]
        # It is in no ledger.
        room.owner.execute("DELETE FROM budgets WHERE payer = 'platform'")
        assert adds_up(room, turns=1)

    def test_waits_for_a_hold_no_longer_than_it_may(self, room: CouncilRoom, operations: WatchedDatabase) -> None:
        take(room)
        refused: list[str] = []

        def sweep() -> None:
            with pytest.raises(DatabaseUnavailable):
                settlements.count_in(operations, 0.05)
            refused.append("in time")

        room.db.hold(ACCEPT_AND_OPEN, sweep)
        take(room)
        assert refused == ["in time"]
        assert adds_up(room, turns=2)
