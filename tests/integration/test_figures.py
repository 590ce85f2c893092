"""Tests `pantheon cost` and `pantheon status`: the ledger's figures and the broken parts, in the terminal."""

import io
from decimal import Decimal

import psycopg
import pytest
from rich.console import Console

from local.costs import FiguresError, show_costs, show_status
from shared.names import Env, LocalEnv
from tests.support.council_room import DEEP_COST, FAST_COST, USAGE, CouncilRoom, DatabaseUrls, answer, unknown


def printed(ops_url: str, *, status: bool = False) -> tuple[bool, dict[str, str]]:
    """Return whether the status is good, and the second column by the first."""
    out = io.StringIO()
    console, environ = Console(file=out, width=100), {Env.OPS_DATABASE_URL.value: ops_url}
    well = True
    if status:
        well = show_status(environ, console)
    else:
        show_costs(environ, console)
    cells = [line.split("  ", 1) for line in out.getvalue().splitlines()]
    return well, {cell[0].strip(): cell[1].strip().split("  ")[0].strip() for cell in cells if len(cell) == 2}


def test_cost_prints_the_ledgers_sums(room: CouncilRoom, ops_url: str) -> None:
    room.provider.enqueue(answer(), answer())
    room.take("@writer @researcher hello")
    _, found = printed(ops_url)
    assert (Decimal(found["fast"]), Decimal(found["deep"])) == (round(FAST_COST, 6), round(DEEP_COST, 6))
    assert Decimal(found["tenant"]) == Decimal(found["so far"]) == round(FAST_COST + DEEP_COST, 6)
    assert found["platform"] == "0.000000"
    assert found["platform's budget used"] == "no limit"
    assert int(found["input"].replace(",", "")) == 2 * USAGE.input_tokens


def test_cost_prints_zero_without_turns(room: CouncilRoom, ops_url: str) -> None:
    well, found = printed(ops_url)
    assert (well, found["so far"]) == (True, "0.000000")


def test_status_counts_turns_and_waiting_turns(room: CouncilRoom, ops_url: str) -> None:
    room.provider.enqueue(answer())
    room.take("@writer hello")
    room.take("@writer hello", later=True, session_id=room.make_session())
    well, found = printed(ops_url, status=True)
    assert well
    assert (found["completed"], found["accepted"], found["turns that have not ended"]) == ("1", "1", "1")
    assert found["invariants broken"] == "0"


def test_status_shows_durations_and_suspense(room: CouncilRoom, ops_url: str) -> None:
    assert printed(ops_url, status=True)[1]["p50, seconds"] == "-"
    for seconds in (1, 2, 3):
        room.provider.enqueue(unknown(), answer())
        turn_id = room.take("@writer hello").turn_id
        room.rows(
            "UPDATE turns SET created_at = completed_at - make_interval(secs => %s) WHERE id = %s RETURNING 1",
            *(seconds, turn_id),
        )
    _, found = printed(ops_url, status=True)
    assert (found["p50, seconds"], found["p95, seconds"], found["p99, seconds"]) == ("2.000", "2.900", "2.980")
    assert found["calls in suspense"] == "3"


def test_status_covers_the_turns_of_the_last_24_hours(room: CouncilRoom, ops_url: str) -> None:
    ages = {
        "failed": ("23 hours 50 minutes", 1),
        "completed": ("24 hours 10 minutes", 50),
        "cancelled": ("1 minute", 3),
    }
    for status, (age, seconds) in ages.items():
        turn_id = room.take("@writer hello", session_id=room.make_session()).turn_id
        room.owner.execute(
            """UPDATE turns SET status = %s, created_at = clock_timestamp() - %s::interval,
            completed_at = clock_timestamp() - %s::interval + make_interval(secs => %s) WHERE id = %s""",
            (status, age, age, seconds, turn_id),
        )
    room.take("@writer hello", later=True)
    _, found = printed(ops_url, status=True)
    counted = {status: found[status] for status in found if status in (*ages, "accepted")}
    assert list(counted.items()) == [("accepted", "1"), ("cancelled", "1"), ("failed", "1")]
    assert (found["p50, seconds"], found["p99, seconds"]) == ("2.000", "2.980")


def test_cost_prints_shares_of_the_whole(room: CouncilRoom, ops_url: str) -> None:
    room.provider.enqueue(answer(), answer())
    room.take("@writer @researcher hello")
    out = io.StringIO()
    show_costs({Env.OPS_DATABASE_URL.value: ops_url}, Console(file=out, width=100))
    shares = {line.split()[0]: line.split()[2] for line in out.getvalue().splitlines() if " % " in line}
    # Five times the price.
    assert (shares["fast"], shares["deep"], shares["tenant"], shares["platform"]) == ("17", "83", "100", "0")


def test_status_names_broken_invariants(room: CouncilRoom, ops_url: str) -> None:
    room.provider.enqueue(answer())
    room.take("@writer hello")
    room.owner.execute(b"UPDATE budgets SET spent_usd = spent_usd + 1")
    try:
        well, found = printed(ops_url, status=True)
    finally:
        room.owner.execute(b"UPDATE budgets SET spent_usd = spent_usd - 1")
    assert not well
    assert found["BROKEN"] == "spent is the sum of the payer's posts and adjustments"
    assert found["budgets and ledger apart, USD"] == "1.000000"


def test_status_reports_a_database_without_a_schema(empty_database: DatabaseUrls) -> None:
    for show in (show_costs, show_status):
        with pytest.raises(FiguresError, match="no schema"):
            show({LocalEnv.DATABASE_URL.value: empty_database.owner}, Console(file=io.StringIO()))


def test_cost_and_status_change_nothing(room: CouncilRoom, ops_url: str, owner: psycopg.Connection[object]) -> None:
    room.provider.enqueue(answer())
    room.take("@writer hello")
    tables = ("turns", "llm_calls", "usage_ledger", "budgets", "budget_holds")
    before = [room.rows(f"SELECT * FROM {table}") for table in tables]
    printed(ops_url), printed(ops_url, status=True)
    assert [room.rows(f"SELECT * FROM {table}") for table in tables] == before
