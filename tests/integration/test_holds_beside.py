"""A payer without a limit waits for nobody: where somebody has its month's row, what it holds is written beside it, and
counts like anything else from then on."""

from contextlib import ExitStack
from decimal import Decimal
from functools import partial

import pytest

from shared.db import settlements
from shared.db.engine import Database
from shared.domain.money import Usage
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, Request
from tests.council_room import DEADLINE_S, CouncilRoom, Killed, answer, body
from tests.other_process import OtherProcess

TENANT = "tenant:tenant-1"
# It costs far less than was held for it.
CHEAP = Usage(input_tokens=10, output_tokens=2)
ROUTED = answer('{"selected_agent_keys": ["critic"], "reason": "It knows."}')


@pytest.fixture(autouse=True)
def rows_of_the_month(room: CouncilRoom) -> None:
    """The tenant's and the platform's, of a turn before. Who waits for one that nobody lets go of is told so."""
    room.owner.execute(f"ALTER DATABASE {room.owner.info.dbname} SET lock_timeout = '10s'".encode())
    room.provider.enqueue(ROUTED, answer(usage=CHEAP))
    room.take("hello", session_id=room.make_session(mode="orchestrator"))


def nothing_is_held(room: CouncilRoom) -> bool:
    """The rows and what is beside them; that it is the ledger's sum is an invariant, and held against every test."""
    return room.row("SELECT sum(held_usd) = 0 AS nothing FROM budget_months")["nothing"] is True


def test_a_turn_is_taken_from_its_first_hold_to_its_end_while_somebody_has_the_row(room: CouncilRoom) -> None:
    with room.months_taken():
        assert room.take("@writer @critic hello").published
        assert room.settlements() == [(TENANT, 3)]
        assert nothing_is_held(room)
    room.take("@writer hello")
    assert room.settlements() == []
    assert nothing_is_held(room)


def test_a_row_that_nobody_has_is_held_in_whoever_has_others(room: CouncilRoom) -> None:
    """Those of other payers and other months."""
    room.owner.execute(f"INSERT INTO budgets (payer, period) VALUES ('{TENANT}', '2026-01-01')".encode())
    with room.months_taken(f"(payer, spent_usd > 0) <> ('{TENANT}', true)"):
        assert room.take("@writer hello").published
    assert room.settlements() == []


def test_a_manager_is_asked_while_somebody_has_the_platforms_row(room: CouncilRoom) -> None:
    room.provider.enqueue(ROUTED, answer())
    with room.months_taken():
        turn = body(room.take("hello", session_id=room.make_session(mode="orchestrator")))
    assert turn["plan"]["source"] == "routing"
    assert room.settlements() == [("platform", 2), (TENANT, 2)]


@pytest.mark.parametrize("column", ["limit_usd", "cap_usd"])
def test_under_a_limit_a_hold_waits_for_the_row(room: CouncilRoom, other: OtherProcess, column: str) -> None:
    """Whoever has set it; and takes nothing before, that who has the row would have to wait for."""
    with room.months_taken():
        room.take("@writer hello")
    room.owner.execute(f"INSERT INTO budget_limits (payer, {column}) VALUES (%s, 1)".encode(), (TENANT,))
    with room.months_taken() as somebody:
        turn = other.start(partial(other.take, "@writer hello"))
        room.wait_until_blocked()
        assert somebody.execute("SELECT FROM budget_settlements FOR UPDATE NOWAIT").rowcount == 2
    assert turn.result(DEADLINE_S).published
    assert room.settlements() == []


def released_in_the_row(room: CouncilRoom) -> None:
    """Take a turn whose hold is beside the row, and its release in it: nobody has taken the hold since."""
    somebody = ExitStack()

    def let_go(_: Request) -> Completion:
        somebody.close()
        return answer(usage=CHEAP)

    room.provider.enqueue(let_go)
    somebody.enter_context(room.months_taken())
    room.take("@writer hello", session_id=room.make_session())
    assert room.settlements() == [(TENANT, 1)]
    assert held_in_the_row(room) < 0


def held_in_the_row(room: CouncilRoom) -> Decimal:
    held: Decimal = room.row(f"SELECT held_usd FROM budgets WHERE payer = '{TENANT}'")["held_usd"]
    return held


def test_what_was_held_beside_the_row_may_be_released_in_it(room: CouncilRoom, ops: Database) -> None:
    """The row comes to less than nothing then, and the month to what it should."""
    released_in_the_row(room)
    assert nothing_is_held(room)
    settlements.count_in(ops, DEADLINE_S)
    assert held_in_the_row(room) == 0
    assert room.settlements() == []


def test_a_limit_is_held_against_the_row_and_what_is_beside_it_together(room: CouncilRoom) -> None:
    """What is beside it alone would be too much."""
    released_in_the_row(room)
    room.limit_to("spent_usd + (SELECT reserve_usd FROM llm_calls ORDER BY call_id DESC LIMIT 1)")
    assert room.take("@writer hello", session_id=room.make_session()).published
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", session_id=room.make_session())


def test_what_is_held_beside_the_row_counts_against_a_limit_that_is_set_then(
    room: CouncilRoom, other: OtherProcess
) -> None:
    somebody, said = ExitStack(), list[bool]()

    def take_another(_: Request) -> Completion:
        assert room.settlements() == [(TENANT, 1)]
        somebody.close()
        reserve = "(SELECT max(reserve_usd) FROM llm_calls WHERE status = 'intent')"
        room.limit_to(f"held_usd + spent_usd + {reserve} / 2")
        session_id = room.make_session()
        with pytest.raises(BudgetExceeded):
            other.take("@writer hello", session_id=session_id)
        room.limit_to(f"held_usd + spent_usd + {reserve}")
        said.append(other.take("@writer hello", session_id=session_id).published)
        return answer()

    room.provider.enqueue(take_another)
    somebody.enter_context(room.months_taken())
    room.take("@writer hello")
    assert said == [True]
    assert nothing_is_held(room)


@pytest.mark.parametrize("stop", ["cancel_requested_at = now()", "lease_epoch = lease_epoch + 1"])
def test_a_runner_that_may_not_go_on_holds_nothing_beside_the_row(room: CouncilRoom, stop: str) -> None:
    def stopped(_: Request) -> Completion:
        room.owner.execute(f"UPDATE turns SET {stop} WHERE status = 'running'".encode())
        return answer()

    room.provider.enqueue(stopped)
    with room.months_taken():
        room.take("@writer @critic hello")
    held = room.row("SELECT count(*) AS n FROM budget_settlements WHERE held_usd > 0")
    assert held["n"] == 1
    room.expire_lease()
    for turn in room.rows("SELECT id FROM turns WHERE status = 'running'"):
        room.resume(turn["id"])
    assert nothing_is_held(room)


def test_what_a_killed_process_held_beside_the_row_is_released(room: CouncilRoom) -> None:
    def killed(_: Request) -> Completion:
        raise Killed

    room.provider.enqueue(killed)
    with room.months_taken():
        turn_id = room.take_until_killed("@writer hello")
        assert not nothing_is_held(room)
        room.resume(turn_id)
        assert nothing_is_held(room)
