"""A payer without a limit waits for nobody: where somebody has its month's row, what it holds is written beside it, and
counts like anything else from then on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import partial

import psycopg
import pytest

from shared.db import settlements
from shared.domain.money import Usage
from shared.errors import BudgetExceeded
from shared.llm.port import Completion, Request
from tests.council_room import DEADLINE_S, CouncilRoom, DatabaseUrls, Killed, answer, body
from tests.other_process import OtherProcess
from tests.watched_database import WatchedDatabase

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


@contextmanager
def somebody_has_the_rows(urls: DatabaseUrls, which: str = "true") -> Iterator[psycopg.Connection]:
    with psycopg.connect(urls.owner) as somebody:
        somebody.execute(f"SELECT FROM budgets WHERE {which} FOR NO KEY UPDATE".encode())
        yield somebody
        somebody.rollback()


def nothing_is_held(room: CouncilRoom) -> bool:
    """The rows and what is beside them; that it is the ledger's sum is an invariant, and held against every test."""
    return room.row("SELECT sum(held_usd) = 0 AS nothing FROM budget_months")["nothing"] is True


def test_a_turn_is_taken_from_its_first_hold_to_its_end_while_somebody_has_the_row(
    room: CouncilRoom, database_urls: DatabaseUrls
) -> None:
    with somebody_has_the_rows(database_urls):
        assert room.take("@writer @critic hello").published
        assert room.settlements() == [(TENANT, 3)]
        assert nothing_is_held(room)
    room.take("@writer hello")
    assert room.settlements() == []
    assert nothing_is_held(room)


def test_a_row_that_nobody_has_is_held_in_whoever_has_others(room: CouncilRoom, database_urls: DatabaseUrls) -> None:
    """Those of other payers and other months."""
    room.owner.execute(f"INSERT INTO budgets (payer, period) VALUES ('{TENANT}', '2026-01-01')".encode())
    with somebody_has_the_rows(database_urls, f"(payer, spent_usd > 0) <> ('{TENANT}', true)"):
        assert room.take("@writer hello").published
    assert room.settlements() == []


def test_a_manager_is_asked_while_somebody_has_the_platforms_row(
    room: CouncilRoom, database_urls: DatabaseUrls
) -> None:
    room.provider.enqueue(ROUTED, answer())
    with somebody_has_the_rows(database_urls):
        turn = body(room.take("hello", session_id=room.make_session(mode="orchestrator")))
    assert turn["plan"]["source"] == "routing"
    assert room.settlements() == [("platform", 2), (TENANT, 2)]


@pytest.mark.parametrize("column", ["limit_usd", "cap_usd"])
def test_under_a_limit_a_hold_waits_for_the_row(
    room: CouncilRoom, other: OtherProcess, database_urls: DatabaseUrls, column: str
) -> None:
    """Whoever has set it; and takes nothing before, that who has the row would have to wait for."""
    with somebody_has_the_rows(database_urls):
        room.take("@writer hello")
    room.owner.execute(f"INSERT INTO budget_limits (payer, {column}) VALUES (%s, 1)".encode(), (TENANT,))
    with somebody_has_the_rows(database_urls) as somebody:
        turn = other.start(partial(other.take, "@writer hello"))
        room.wait_until_blocked()
        assert somebody.execute("SELECT FROM budget_settlements FOR UPDATE NOWAIT").rowcount == 2
    assert turn.result(DEADLINE_S).published
    assert room.settlements() == []


def released_in_the_row(room: CouncilRoom, urls: DatabaseUrls) -> None:
    """Take a turn whose hold is beside the row, and its release in it: nobody has taken the hold since."""
    somebody = ExitStack()

    def let_go(_: Request) -> Completion:
        somebody.close()
        return answer(usage=CHEAP)

    room.provider.enqueue(let_go)
    somebody.enter_context(somebody_has_the_rows(urls))
    room.take("@writer hello", session_id=room.make_session())
    assert room.settlements() == [(TENANT, 1)]
    assert held_in_the_row(room) < 0


def held_in_the_row(room: CouncilRoom) -> Decimal:
    held: Decimal = room.row(f"SELECT held_usd FROM budgets WHERE payer = '{TENANT}'")["held_usd"]
    return held


def test_the_sweeper_waits_for_the_row_before_it_takes_what_is_beside_it(
    room: CouncilRoom, other: OtherProcess, database_urls: DatabaseUrls, ops_url: str
) -> None:
    with somebody_has_the_rows(database_urls):
        room.take("@writer hello")
    operations = WatchedDatabase(ops_url)
    with somebody_has_the_rows(database_urls) as somebody:
        swept = other.start(partial(settlements.count_in, operations, DEADLINE_S))
        room.wait_until_blocked()
        assert somebody.execute("SELECT FROM budget_settlements FOR UPDATE NOWAIT").rowcount == 2
    swept.result(DEADLINE_S)
    operations.close()
    assert room.settlements() == []


def test_what_was_held_beside_the_row_may_be_released_in_it(
    room: CouncilRoom, database_urls: DatabaseUrls, ops_url: str
) -> None:
    """The row comes to less than nothing then, and the month to what it should."""
    released_in_the_row(room, database_urls)
    assert nothing_is_held(room)
    operations = WatchedDatabase(ops_url)
    settlements.count_in(operations, DEADLINE_S)
    operations.close()
    assert held_in_the_row(room) == 0
    assert room.settlements() == []


def test_a_limit_is_held_against_the_row_and_what_is_beside_it_together(
    room: CouncilRoom, database_urls: DatabaseUrls
) -> None:
    """What is beside it alone would be too much."""
    released_in_the_row(room, database_urls)
    room.limit_to("spent_usd + (SELECT reserve_usd FROM llm_calls ORDER BY call_id DESC LIMIT 1)")
    assert room.take("@writer hello", session_id=room.make_session()).published
    with pytest.raises(BudgetExceeded):
        room.take("@writer hello", session_id=room.make_session())


def test_what_is_held_beside_the_row_counts_against_a_limit_that_is_set_then(
    room: CouncilRoom, other: OtherProcess, database_urls: DatabaseUrls
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
    somebody.enter_context(somebody_has_the_rows(database_urls))
    room.take("@writer hello")
    assert said == [True]
    assert nothing_is_held(room)


@pytest.mark.parametrize("stop", ["cancel_requested_at = now()", "lease_epoch = lease_epoch + 1"])
def test_a_runner_that_may_not_go_on_holds_nothing_beside_the_row(
    room: CouncilRoom, database_urls: DatabaseUrls, stop: str
) -> None:
    def stopped(_: Request) -> Completion:
        room.owner.execute(f"UPDATE turns SET {stop} WHERE status = 'running'".encode())
        return answer()

    room.provider.enqueue(stopped)
    with somebody_has_the_rows(database_urls):
        room.take("@writer @critic hello")
    held = room.row("SELECT count(*) AS n FROM budget_settlements WHERE held_usd > 0")
    assert held["n"] == 1
    room.expire_lease()
    for turn in room.rows("SELECT id FROM turns WHERE status = 'running'"):
        room.resume(turn["id"])
    assert nothing_is_held(room)


def test_what_a_killed_process_held_beside_the_row_is_released(room: CouncilRoom, database_urls: DatabaseUrls) -> None:
    def killed(_: Request) -> Completion:
        raise Killed

    room.provider.enqueue(killed)
    with somebody_has_the_rows(database_urls):
        turn_id = room.take_until_killed("@writer hello")
        assert not nothing_is_held(room)
        room.resume(turn_id)
        assert nothing_is_held(room)
