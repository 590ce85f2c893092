"""Tests the hold of accepting: it lasts until the first agent is asked, and no other turn gets its money."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from shared.db import protocol
from shared.db.api.budgets import release_leftover_holds
from shared.db.protocol import OPEN, PUBLISH
from shared.db.statement import Statement
from shared.errors import BudgetExceeded, JournalUnavailable
from shared.llm.port import Request
from tests.support.council_room import AMPLE_S, DEADLINE_S, CouncilRoom, answer, body, broken_invariants, names
from tests.support.sql_edits import apply, edited
from tests.support.watched_database import WatchedDatabase

TENANT = "tenant:tenant-1"
ROUTED = answer('{"selected_agent_keys": ["critic"]}')


@pytest.fixture
def edits() -> Iterator[Callable[[dict[str, str]], None]]:
    """Edit the protocol's SQL until the test is over."""
    kept = {name: value.parts for name, value in vars(protocol).items() if isinstance(value, Statement)}
    yield apply
    for name, parts in kept.items():
        getattr(protocol, name).parts = parts


def highest_reserve(room: CouncilRoom) -> Decimal:
    """Return the reserve of the most expensive agent, as the first one that is asked."""
    room.take("hello", session_id=room.make_session(), mode="manual", agent_keys=("researcher",))
    (reserve,) = room.calls("reserve_usd")[0]
    assert isinstance(reserve, Decimal)
    return reserve


def holds(room: CouncilRoom) -> list[Any]:
    return [row["held_usd"] for row in room.rows("SELECT held_usd FROM budget_holds WHERE reason = 'accepted'")]


def held(room: CouncilRoom) -> Decimal:
    month = room.budget(TENANT)
    assert month is not None
    return Decimal(month["held_usd"])


def test_a_queued_turn_holds_the_highest_reserve_of_its_roster(room: CouncilRoom) -> None:
    reserve = highest_reserve(room)
    turn_id = room.take("hello", later=True, session_id=room.make_session()).turn_id
    assert holds(room) == [reserve]
    assert held(room) == reserve
    assert body(room.resume(turn_id))["status"] == "completed"
    assert [*holds(room), held(room)] == [0]


def test_the_first_agents_reserve_takes_the_place_of_the_hold(room: CouncilRoom) -> None:
    """The limit has room for nothing but the hold, and yet the agent is asked."""
    reserve = highest_reserve(room)
    room.limit_to(f"spent_usd + {reserve}")
    seen: list[Any] = []

    def look(_: Request) -> Any:
        seen.append((holds(room), held(room), [reserve_usd for (reserve_usd,) in room.calls("reserve_usd")][-1]))
        return answer("Roses.")

    room.provider.enqueue(ROUTED, look)
    turn = body(room.take("hello", session_id=room.make_session(), mode="orchestrator"))
    assert names(turn["replies"]) == [("critic", "completed", None)]
    ((left, held_usd, of_call),) = seen
    assert (left, held_usd) == ([], of_call)


def test_a_manager_is_asked_while_the_tenants_money_is_held_for_the_agent(room: CouncilRoom) -> None:
    reserve = highest_reserve(room)

    def look(_: Request) -> Any:
        assert holds(room) == [reserve]
        with pytest.raises(BudgetExceeded):
            room.take("hello", runner=room.runner(db=room.open_database()), session_id=other, mode="orchestrator")
        return ROUTED

    other = room.make_session()
    room.limit_to(f"spent_usd + {reserve} * 1.5")
    room.provider.enqueue(look)
    assert room.take("hello", session_id=room.make_session(), mode="orchestrator").published
    assert len([purpose for (purpose,) in room.calls("purpose") if purpose == "routing"]) == 1


def test_second_manager_is_asked_only_without_the_guard_of_the_hold(
    room: CouncilRoom, edits: Callable[[dict[str, str]], None]
) -> None:
    reserve = highest_reserve(room)
    text = edited("accept", "WHERE :t_hold_usd <= most", "WHERE false")
    # Without a plan, which these turns do not have yet, the part that refuses is left out.
    edits({"accept": text.replace("-- part refused_agent ? t_hold_usd", "-- part refused_agent ? t_plan")})

    def look(_: Request) -> Any:
        room.take("hello", runner=room.runner(db=room.open_database()), session_id=other, mode="orchestrator")
        return ROUTED

    other = room.make_session()
    room.limit_to(f"spent_usd + {reserve} * 1.5")
    room.provider.enqueue(look, ROUTED)
    room.take("hello", session_id=room.make_session(), mode="orchestrator")
    assert len([purpose for (purpose,) in room.calls("purpose") if purpose == "routing"]) == 2


def test_turn_without_a_call_releases_its_hold_at_its_end(room: CouncilRoom) -> None:
    turn_id = room.take("hello", later=True).turn_id
    room.owner.execute("UPDATE turns SET cancel_requested_at = now()")
    assert held(room) > 0
    assert body(room.resume(turn_id))["status"] == "cancelled"
    assert [*holds(room), held(room)] == [0]


def test_a_turn_that_is_handed_over_keeps_its_hold(room: CouncilRoom) -> None:
    left = iter([AMPLE_S])
    room.provider.enqueue(ROUTED)
    runner = room.runner(seconds_left=lambda: next(left, 0.0))
    turn_id = room.take("hello", runner=runner, mode="orchestrator").turn_id
    assert len(holds(room)) == 1
    assert body(room.resume(turn_id))["status"] == "completed"
    assert [*holds(room), held(room)] == [0]


def test_a_hold_of_an_earlier_month_is_released_there(room: CouncilRoom) -> None:
    turn_id = room.take("hello", later=True).turn_id
    for table in ("budgets", "budget_holds"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
    assert body(room.resume(turn_id))["status"] == "completed"
    assert holds(room) == []
    assert room.rows("SELECT held_usd FROM budgets") == [{"held_usd": 0}, {"held_usd": 0}]


def test_hold_of_an_earlier_month_stays_until_the_turn_ends(room: CouncilRoom) -> None:
    turn_id = room.take("hello", later=True).turn_id
    for table in ("budgets", "budget_holds"):
        room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
    seen: list[int] = []
    room.db.before(PUBLISH, lambda: seen.append(len(holds(room))))
    room.resume(turn_id)
    assert seen == [1]


def test_hold_stays_until_the_turn_ends_when_the_first_ask_is_refused(room: CouncilRoom) -> None:
    turn_id = room.take("hello", later=True).turn_id
    room.limit_to("0")
    seen: list[int] = []
    room.db.before(PUBLISH, lambda: seen.append(len(holds(room))))
    turn = body(room.resume(turn_id))
    assert (turn["status"], room.calls(), seen) == ("failed", [], [1])
    assert [*holds(room), held(room)] == [0]


def test_an_intent_and_the_end_of_the_hold_commit_together(room: CouncilRoom) -> None:
    def fail() -> None:
        room.cut_connections()

    turn_id = room.take("hello", later=True).turn_id
    room.db.hold(OPEN, fail)
    with pytest.raises(JournalUnavailable):
        room.resume(turn_id)
    assert (len(holds(room)), room.calls()) == (1, [])
    assert broken_invariants(room.owner) == {}


class TestBesideTheReleaseBefore:
    """The release before does not read or write the holds. The sweeper frees those that it leaves behind."""

    def test_hold_of_a_turn_ended_by_the_release_before_is_freed(self, room: CouncilRoom, ops: WatchedDatabase) -> None:
        turn_id = room.take("hello", later=True).turn_id
        room.owner.execute("ALTER TABLE budget_holds RENAME TO hidden; CREATE TABLE budget_holds (LIKE hidden)")
        room.owner.execute("GRANT ALL ON budget_holds TO pantheon_app")
        room.resume(turn_id)
        room.owner.execute("DROP TABLE budget_holds; ALTER TABLE hidden RENAME TO budget_holds")
        assert (len(holds(room)), held(room)) == (1, holds(room)[0])
        for _ in range(2):
            release_leftover_holds(ops, DEADLINE_S)
            assert [*holds(room), held(room)] == [0]

    def test_hold_of_a_call_settled_by_the_release_before_is_freed(
        self, room: CouncilRoom, ops: WatchedDatabase
    ) -> None:
        room.provider.enqueue(*[answer("", stop_reason="content_filtered")])
        room.take("@writer hello")
        room.owner.execute(
            """INSERT INTO budget_holds SELECT call_id, tenant_id, 'suspense', 'tenant:' || tenant_id, period, 1
            FROM llm_calls; UPDATE budgets SET held_usd = 1 WHERE payer = 'tenant:tenant-1'"""
        )
        release_leftover_holds(ops, DEADLINE_S)
        assert room.rows("SELECT * FROM budget_holds") == []
        assert held(room) == 0

    def test_hold_of_an_active_turn_stays(self, room: CouncilRoom, ops: WatchedDatabase) -> None:
        turn_id = room.take("hello", later=True).turn_id
        release_leftover_holds(ops, DEADLINE_S)
        assert len(holds(room)) == 1
        room.resume(turn_id)
