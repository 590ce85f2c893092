"""What is released and spent while somebody has the month's row is written beside it: nobody waits for that row but
holds under a limit, and every settlement counts once, wherever it stands."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest

from shared.db.accept import ACCEPT_AND_OPEN
from shared.db.engine import Statement
from shared.db.publish import PUBLISH
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, Request
from tests.council_room import DEADLINE_S, FAST_COST, CouncilRoom, answer, body, unbilled
from tests.other_process import OtherProcess

ANOTHER_MONTH = "2026-01-01"


def take(room: CouncilRoom, message: str = "@writer hello") -> Any:
    return room.take(message, session_id=room.make_session())


def adds_up(room: CouncilRoom, *, turns: int) -> bool:
    """Nothing is held, and what was posted of so many turns is spent."""
    posted = room.row(
        "SELECT count(DISTINCT turn_id) AS turns, sum(amount_usd) AS usd FROM usage_ledger WHERE account = 'tenant'"
    )
    return posted["turns"] == turns and room.budget(payer(room)) == {"held_usd": 0, "spent_usd": posted["usd"]}


def payer(room: CouncilRoom) -> str:
    return f"tenant:{room.tenant_id}"


def settle_beside(room: CouncilRoom, payer: str, period: str) -> None:
    """A settlement that no turn has made: the invariants would miss its entry in the ledger."""
    values = f"VALUES ('{payer}', {period}, 0, 1)"
    room.owner.execute(f"INSERT INTO budget_settlements (payer, period, held_usd, spent_usd) {values}".encode())


def take_two_at_once(
    room: CouncilRoom,
    other: OtherProcess,
    message: str = "@writer hello",
    *before: Callable[[Request], Completion],
    while_held: Statement = ACCEPT_AND_OPEN,
) -> None:
    """Publish the other's turn while a statement of this one's is not yet committed, its hold as a rule, and so leave a
    settlement. What comes `before` its last call is its provider's."""
    asked, held = threading.Event(), threading.Event()

    def wait(_: Request) -> Completion:
        asked.set()
        assert held.wait(DEADLINE_S)
        return answer()

    other.provider.enqueue(*before, wait)
    first = other.start(partial(other.take, message, session_id=room.make_session()))
    assert asked.wait(DEADLINE_S)
    published: list[bool] = []

    def publish_first() -> None:
        held.set()
        published.append(first.result(DEADLINE_S).published)

    room.db.hold(while_held, publish_first)
    assert take(room).published
    assert published == [True]
    assert room.settlements() == [(payer(room), 1)]


def publish_beside(room: CouncilRoom) -> None:
    """Take a turn whose hold is in the row, and its release beside it."""
    with ExitStack() as somebody:

        def take_the_row(_: Request) -> Completion:
            somebody.enter_context(room.months_taken())
            return answer()

        room.provider.enqueue(take_the_row)
        assert take(room).published
    assert room.settlements() == [(payer(room), 1)]


def test_a_turn_is_published_while_a_hold_of_its_month_is_not_yet_committed(
    room: CouncilRoom, other: OtherProcess
) -> None:
    take_two_at_once(room, other)
    assert adds_up(room, turns=2)


def test_of_two_months_the_one_that_somebody_has_is_settled_beside(room: CouncilRoom, other: OtherProcess) -> None:
    def a_month_passes(_: Request) -> Completion:
        for table in ("budgets", "llm_calls"):
            room.owner.execute(f"UPDATE {table} SET period = period - interval '1 month'".encode())
        return answer()

    take_two_at_once(room, other, "@writer @researcher hello", a_month_passes)
    held = "SELECT held_usd > 0 AS held FROM budgets ORDER BY period"
    assert [row["held"] for row in room.rows(held)] == [False, True]


def test_what_nobody_else_has_is_settled_in_the_row_itself(room: CouncilRoom) -> None:
    """The platform's is not there yet: it has held nothing, and pays for an answer that is none."""
    room.provider.enqueue(answer(""), answer())
    take(room)
    take(room)
    assert room.settlements() == []
    assert adds_up(room, turns=2)
    assert room.row("SELECT count(*) AS n FROM budgets")["n"] == 2


def test_what_comes_to_nothing_makes_no_month(room: CouncilRoom) -> None:
    """The platform pays for a call that costs nothing."""
    room.provider.enqueue(unbilled("throttled"), answer())
    take(room)
    assert room.rows("SELECT payer FROM budgets") == [{"payer": payer(room)}]


# What was held for calls that each belong to another month by now.
_MONTHS = """
    UPDATE llm_calls SET period = period - interval '1 month' * ((step + 1) % 3);
    DELETE FROM budgets;
    INSERT INTO budgets (payer, period, held_usd) SELECT payer, period, sum(reserve_usd) FROM llm_calls GROUP BY 1, 2
      UNION ALL SELECT 'platform', period, 0 FROM llm_calls GROUP BY 2"""


def test_months_are_settled_in_the_order_of_their_locks(room: CouncilRoom) -> None:
    """The tenant's before the platform's, older ones first: it shows where somebody has all of them."""

    def take_the_months() -> None:
        room.owner.execute(_MONTHS)
        locker.execute("SELECT FROM budgets FOR UPDATE")

    room.provider.enqueue(*[answer(""), answer()] * 3)
    room.db.before(PUBLISH, take_the_months)
    with psycopg.connect(room.owner.info.dsn) as locker:
        take(room, "@writer @researcher @critic hello")
    settled = room.rows("SELECT payer, period FROM budget_settlements ORDER BY id")
    months = room.rows("SELECT DISTINCT period FROM llm_calls ORDER BY period")
    assert settled == [{"payer": each, **month} for each in (payer(room), "platform") for month in months]
    assert len(settled) == 6


def test_a_turn_is_accepted_and_published_while_another_of_its_month_is_being_published(
    room: CouncilRoom, other: OtherProcess
) -> None:
    """The other's hold was taken before: only its publishing comes in between."""
    take_two_at_once(room, other, while_held=PUBLISH)
    assert adds_up(room, turns=2)


def test_a_publish_that_somebody_else_has_just_made_the_row_for_adds_to_it(
    room: CouncilRoom, other: OtherProcess
) -> None:
    """Both find no row of the platform's. The second waits for the first one's, and nothing of either is lost."""
    room.provider.enqueue(answer(""), answer())
    other.provider.enqueue(answer(""), answer())
    take(room)
    room.owner.execute("DELETE FROM budgets WHERE payer = 'platform'")
    room.provider.enqueue(answer(""), answer())
    other.comes_second(PUBLISH, partial(other.take, "@writer hello", session_id=room.make_session()))
    take(room)
    assert other.result().published
    assert room.row("SELECT count(*) AS posts FROM usage_ledger WHERE account = 'platform'")["posts"] == 3
    (spent,) = room.row("SELECT spent_usd FROM budgets WHERE payer = 'platform'").values()
    assert spent == 2 * FAST_COST
    room.owner.execute("UPDATE budgets SET spent_usd = spent_usd * 1.5 WHERE payer = 'platform'")


def test_the_next_hold_of_the_month_takes_what_was_settled_into_its_row(room: CouncilRoom) -> None:
    publish_beside(room)
    seen: list[list[tuple[str, int]]] = []

    def look(_: Request) -> Completion:
        seen.append(room.settlements())
        return answer()

    room.provider.enqueue(look)
    take(room)
    assert (seen, room.settlements()) == ([[]], [])
    assert adds_up(room, turns=2)


def test_what_is_settled_is_there_for_the_next_call(room: CouncilRoom) -> None:
    """A limit that has room for one call, once what was settled is counted in."""
    publish_beside(room)
    room.limit_to("spent_usd + (SELECT min(reserve_usd) FROM llm_calls) / 2")
    assert room.row("SELECT sum(held_usd) > 0 AS held FROM budgets")["held"]
    room.limit_to("spent_usd + (SELECT min(reserve_usd) FROM llm_calls)")
    assert take(room).published
    with pytest.raises(BudgetExceeded):
        take(room)


def test_a_hold_that_waits_for_another_takes_none_of_its_settlements_again(
    room: CouncilRoom, other: OtherProcess
) -> None:
    publish_beside(room)
    room.limit(1)
    other.comes_second(ACCEPT_AND_OPEN, partial(other.take, "@writer hello", session_id=room.make_session()))
    take(room)
    other.result()
    assert adds_up(room, turns=3)


def test_a_refused_turn_leaves_the_settlements_where_they_are(room: CouncilRoom) -> None:
    publish_beside(room)
    before = room.rows("SELECT * FROM budget_settlements")
    room.limit_to("spent_usd")
    with pytest.raises(BudgetExceeded):
        take(room)
    assert room.rows("SELECT * FROM budget_settlements") == before


def test_a_call_that_the_budget_refuses_takes_no_settlements_and_its_predecessors_outcome_stays(
    room: CouncilRoom,
) -> None:
    def spend(_: Request) -> Completion:
        publish_beside(room)
        room.limit(0)
        return answer("Roses.")

    room.provider.enqueue(spend)
    turn = body(take(room, "@writer @critic hello"))
    said = [(reply["status"], reply["text"]) for reply in turn["replies"]]
    assert said == [("completed", "Roses."), ("skipped", None)]
    assert room.settlements() == [(payer(room), 1)]
    assert adds_up(room, turns=2)


@pytest.mark.parametrize("by", ["cancel", "claim"])
def test_a_runner_that_may_not_go_on_takes_no_settlements(room: CouncilRoom, by: str) -> None:
    """Its statement writes no call, and is committed for the outcome's sake."""
    stop = {"cancel": "cancel_requested_at = now()", "claim": "lease_epoch = lease_epoch + 1"}[by]

    def settle(_: Request) -> Completion:
        publish_beside(room)
        room.owner.execute(f"UPDATE turns SET {stop} WHERE status = 'running'".encode())
        return answer()

    room.provider.enqueue(settle)
    take(room, "@writer @critic hello")
    assert room.settlements() == [(payer(room), 1)]
    room.expire_lease()
    for turn in room.rows("SELECT id FROM turns WHERE status = 'running'"):
        room.resume(turn["id"])
    assert adds_up(room, turns=2)


def test_a_hold_takes_its_own_payers_settlements_of_its_own_month(room: CouncilRoom) -> None:
    this_month = "date_trunc('month', now() AT TIME ZONE 'UTC')"
    settle_beside(room, payer(room), f"'{ANOTHER_MONTH}'")
    settle_beside(room, "tenant:tenant-2", this_month)
    settle_beside(room, "platform", this_month)
    settle_beside(room, payer(room), this_month)
    take(room)
    assert room.settlements() == [("platform", 1), (payer(room), 1), ("tenant:tenant-2", 1)]
    (spent,) = room.row("SELECT spent_usd FROM budgets").values()
    assert spent > 1
    # No ledger has them.
    room.owner.execute("DELETE FROM budget_settlements")
    room.owner.execute("UPDATE budgets SET spent_usd = spent_usd - 1")
