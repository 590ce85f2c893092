"""Compares the provider's own record with the journal: a call in suspense gets its real cost, and nothing else
changes.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.db.engine import Database
from shared.db.operations.suspense import LOAD_SILENT
from shared.domain.money import Usage
from shared.domain.provider_record import ProviderRecord
from shared.llm.port import CallError, Request
from shared.reconciliation.reconcile import Findings, reconcile
from tests.support.council_room import FAST_COST, USAGE, CouncilRoom, Killed, answer, unbilled, unknown
from tests.support.watched_database import WatchedDatabase

HOURS_48 = timedelta(hours=48)


def die(_: Request) -> str:
    raise Killed


def lose_a_call(room: CouncilRoom, message: str = "@writer hello") -> UUID:
    """Publish a turn whose first call has an unknown outcome, and whose second is its reply."""
    room.provider.enqueue(unknown(), answer())
    outcome = room.take(message)
    lost: UUID = room.row("SELECT call_id FROM llm_calls WHERE turn_id = %s AND status = 'unknown'", outcome.turn_id)[
        "call_id"
    ]
    return lost


def billed(call_id: UUID, usage: Usage = USAGE) -> ProviderRecord:
    return ProviderRecord(call_id, billed=True, usage=usage)


def refused(call_id: UUID) -> ProviderRecord:
    return ProviderRecord(call_id, billed=False)


def entries(room: CouncilRoom, call_id: UUID) -> list[tuple[Any, ...]]:
    columns = "kind, account, amount_usd, input_tokens, reasoning_tokens"
    rows = room.rows(f"SELECT {columns} FROM usage_ledger WHERE call_id = %s ORDER BY id", call_id)
    return [tuple(row.values()) for row in rows]


def reserve(room: CouncilRoom, call_id: UUID) -> Decimal:
    held: Decimal = room.row("SELECT reserve_usd FROM llm_calls WHERE call_id = %s", call_id)["reserve_usd"]
    return held


def everything(room: CouncilRoom) -> list[Any]:
    """Return all rows that reconciling could change."""
    tables = ("turns", "llm_calls", "usage_ledger", "budgets", "replies", "audit_events")
    return [sorted(map(str, room.rows(f"SELECT * FROM {table}"))) for table in tables]


def age(room: CouncilRoom, interval: str, *calls: UUID) -> None:
    """Make the calls this much older."""
    room.rows(
        "UPDATE llm_calls SET created_at = created_at - %s::interval WHERE call_id = ANY(%s) RETURNING 1",
        interval,
        list(calls),
    )


def others_of(room: CouncilRoom, call_id: UUID) -> list[UUID]:
    """The other calls of its turn."""
    query = """SELECT call_id FROM llm_calls WHERE call_id <> %s
        AND turn_id = (SELECT turn_id FROM llm_calls WHERE call_id = %s)"""
    return [row["call_id"] for row in room.rows(query, call_id, call_id)]


class TestARecord:
    def test_record_moves_a_call_from_suspense_to_its_cost(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        before, held = room.accounts(), reserve(room, call_id)
        findings = reconcile(ops, [billed(call_id)])
        assert entries(room, call_id) == [
            ("post", "suspense", held, 0, 0),
            ("adjustment", "suspense", -held, 0, 0),
            ("adjustment", "platform", FAST_COST, 1000, 7),
        ]
        assert room.accounts() == {"tenant": before["tenant"], "suspense": 0, "platform": FAST_COST}
        assert room.calls("status, verdict, cost_usd, output_tokens, error_code")[0] == (
            "succeeded",
            None,
            FAST_COST,
            200,
            "timeout",
        )
        (settled,) = findings.settled.values()
        assert (settled.reserve_usd, settled.cost_usd, settled.recorded) == (held, FAST_COST, True)

    def test_record_of_an_unbilled_call_leaves_no_cost(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        reconcile(ops, [refused(call_id)])
        assert room.calls("status, cost_usd")[0] == ("unbilled", 0)
        assert [entry[1:3] for entry in entries(room, call_id)[1:]] == [
            ("suspense", -reserve(room, call_id)),
            ("platform", 0),
        ]

    def test_record_is_priced_at_the_rates_of_its_calls_row(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        rates = '{"input": "1", "output": "20", "cache_read": "300", "cache_write": "4000", "reasoning": "50000"}'
        room.owner.execute("UPDATE llm_calls SET rates = %s::jsonb WHERE call_id = %s", (rates, call_id))
        reconcile(ops, [billed(call_id, Usage(1, 2, 3, 4, 5))])
        ledger = room.row("SELECT amount_usd, rates->>'input' AS rate FROM usage_ledger WHERE account = 'platform'")
        assert ledger == {"amount_usd": Decimal("0.266941"), "rate": "1"}

    def test_record_prices_cache_tokens_of_an_hour_separately(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        usage = Usage(cache_write_tokens=1000, cache_write_1h_tokens=400)
        reconcile(ops, [billed(call_id, usage)])
        # At 0.125 and 0.20 USD per million.
        paid = room.row("SELECT amount_usd, cache_write_1h_tokens FROM usage_ledger WHERE account = 'platform'")
        assert paid == {"amount_usd": Decimal("0.000155"), "cache_write_1h_tokens": 400}
        assert not reconcile(ops, [billed(call_id, usage)]).drifted
        assert reconcile(ops, [billed(call_id, replace(usage, cache_write_1h_tokens=0))]).drifted == {call_id}

    @pytest.mark.parametrize("rates", ["{}", "[]", '{"input": "much"}', "null"])
    def test_record_of_a_call_with_damaged_rates_is_left_and_others_are_settled(
        self, room: CouncilRoom, ops: Database, rates: str
    ) -> None:
        damaged, whole = lose_a_call(room), lose_a_call(room)
        age(room, "49 hours", damaged, whole)
        room.owner.execute("UPDATE llm_calls SET rates = %s::jsonb WHERE call_id = %s", (rates, damaged))
        findings = reconcile(ops, [billed(damaged), billed(whole)])
        assert (findings.unreadable, set(findings.settled)) == (1, {whole})
        assert room.accounts()["suspense"] == reserve(room, damaged)

    @pytest.mark.parametrize("class_", ["input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"])
    @pytest.mark.parametrize("model_id", ["scripted-fast", "a-model-of-an-earlier-release"])
    def test_record_with_an_impossible_count_is_left_and_others_are_settled(
        self, room: CouncilRoom, ops: Database, class_: str, model_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        damaged, whole, silent = lose_a_call(room), lose_a_call(room), lose_a_call(room)
        age(room, "49 hours", damaged, whole, silent)
        room.owner.execute("UPDATE llm_calls SET model_id = %s WHERE call_id = %s", (model_id, damaged))
        findings = reconcile(ops, [billed(damaged, Usage(**{class_: 2**62})), billed(whole)])
        assert (findings.unreadable, set(findings.settled)) == (1, {whole})
        assert "cannot have taken" in caplog.text
        assert room.accounts()["suspense"] == reserve(room, damaged) + reserve(room, silent)
        assert damaged in reconcile(ops, [billed(damaged)]).settled

    def test_record_may_count_the_window_and_the_answers_cap(self, room: CouncilRoom, ops: Database) -> None:
        # The window of the scripted model, and its cap.
        most = 8192 + 256
        call_id = lose_a_call(room)
        assert reconcile(ops, [billed(call_id, Usage(most + 1))]).unreadable == 1
        assert set(reconcile(ops, [billed(call_id, Usage(most))]).settled) == {call_id}

    def test_record_may_count_a_prompt_longer_than_the_window(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room, "@writer " + "x" * 12_000)
        assert reconcile(ops, [billed(call_id, Usage(16_000))]).unreadable == 1
        # The densest text has a token a byte.
        assert set(reconcile(ops, [billed(call_id, Usage(12_000))]).settled) == {call_id}

    def test_record_counts_in_the_month_of_its_hold(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        for table in ("llm_calls", "usage_ledger", "budgets", "budget_holds"):
            room.owner.execute(f"UPDATE {table} SET period = '2026-01-01'".encode())
        reconcile(ops, [billed(call_id)])
        assert room.rows("SELECT period::text, spent_usd, held_usd FROM budgets WHERE payer LIKE 'platform:%%'") == [
            {"period": "2026-01-01", "spent_usd": FAST_COST, "held_usd": 0}
        ]
        periods = "SELECT DISTINCT period::text FROM usage_ledger"
        assert room.rows(periods) == [{"period": "2026-01-01"}]

    def test_record_is_posted_once_when_it_is_read_repeatedly(self, room: CouncilRoom, ops: Database) -> None:
        call_id = lose_a_call(room)
        record = [billed(call_id), billed(call_id)]
        assert not reconcile(ops, record).drifted
        settled = everything(room)
        again = reconcile(ops, record)
        assert everything(room) == settled
        assert (again.settled, again.drifted) == ({}, set())

    @pytest.mark.parametrize("call", [die, unknown()], ids=["intent", "unknown"])
    def test_record_of_an_active_turns_call_is_left_for_later(
        self, room: CouncilRoom, ops: Database, call: object
    ) -> None:
        room.provider.enqueue(*([call] if callable(call) else [call, die]))
        turn_id = room.take_until_killed("@writer hello")
        call_id: UUID = room.rows("SELECT call_id FROM llm_calls ORDER BY attempt")[0]["call_id"]
        before = everything(room)
        findings = reconcile(ops, [billed(call_id)], silent_after=timedelta(0))
        assert (everything(room), findings.early) == (before, {call_id})
        room.resume(turn_id)
        reconcile(ops, [billed(call_id)])
        assert entries(room, call_id)[-1][:3] == ("adjustment", "platform", FAST_COST)

    def test_record_that_differs_from_a_known_outcome_is_reported_and_changes_nothing(
        self, room: CouncilRoom, ops: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        room.provider.enqueue(unbilled("refused"), answer())
        room.take("@writer @critic hello")
        free, paid = (row["call_id"] for row in room.rows("SELECT call_id FROM llm_calls ORDER BY step"))
        before = everything(room)
        records = [billed(paid, Usage(1001, 200, 50, 10, 7)), billed(free), billed(free)]
        assert reconcile(ops, records).drifted == {free, paid}
        assert everything(room) == before
        assert [record.__dict__["call_id"] for record in caplog.records] == [str(paid), str(free)]
        assert not reconcile(ops, [billed(paid), refused(free)]).drifted

    def test_record_without_a_journal_row_is_reported(
        self, room: CouncilRoom, ops: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        call_id, stranger = lose_a_call(room), uuid4()
        caplog.clear()
        findings = reconcile(ops, [billed(stranger), billed(call_id), billed(stranger)])
        assert (findings.unjournaled, set(findings.settled)) == ({stranger}, {call_id})
        assert [record.__dict__["call_id"] for record in caplog.records] == [str(stranger)]

    @pytest.mark.parametrize("error", ["timeout", "connection_lost", "provider_error"])
    def test_record_never_raises_the_tenants_cost(self, room: CouncilRoom, ops: Database, error: CallError) -> None:
        room.provider.enqueue(unknown(error), unknown(error))
        room.take("@writer hello")
        before = room.budget("tenant:tenant-1")
        reconcile(ops, [billed(row[0]) for row in room.calls("call_id")])
        assert room.budget("tenant:tenant-1") == before
        assert room.accounts() == {"suspense": 0, "platform": 2 * FAST_COST}


class TestSilence:
    def test_missing_call_costs_nothing_when_the_record_has_others_of_its_hour(
        self, room: CouncilRoom, ops: Database
    ) -> None:
        call_id = lose_a_call(room)
        others = others_of(room, call_id)
        age(room, "49 hours", call_id, *others)
        findings = reconcile(ops, map(billed, others))
        assert entries(room, call_id)[1:] == [
            ("adjustment", "suspense", -reserve(room, call_id), 0, 0),
            ("adjustment", "platform", 0, 0, 0),
        ]
        assert room.calls("status, cost_usd")[0] == ("unbilled", 0)
        assert not findings.settled[call_id].recorded

    @pytest.mark.parametrize(
        "why",
        {
            "it is too early": "UPDATE llm_calls SET created_at = created_at + interval '2 hours'",
            "no other call of the hour was found": """UPDATE llm_calls SET created_at = created_at - interval '1 hour'
                WHERE status = 'unknown'""",
            "no other call of the model was found": "UPDATE llm_calls SET model_id = 'x' WHERE status = 'unknown'",
            "no other call of the provider was found": "UPDATE llm_calls SET provider = 'x' WHERE status = 'unknown'",
        }.items(),
        ids=lambda why: why[0],
    )
    def test_missing_call_stays_in_suspense_when(self, room: CouncilRoom, ops: Database, why: tuple[str, str]) -> None:
        call_id = lose_a_call(room)
        others = others_of(room, call_id)
        age(room, "49 hours", call_id, *others)
        room.owner.execute(why[1].encode())
        before = everything(room)
        assert reconcile(ops, map(billed, others)).settled == {}
        assert everything(room) == before

    def test_missing_call_stays_in_suspense_when_a_line_could_not_be_read(
        self, room: CouncilRoom, ops: Database
    ) -> None:
        call_id = lose_a_call(room)
        others = others_of(room, call_id)
        age(room, "49 hours", call_id, *others)
        findings = reconcile(ops, [None, *map(billed, others)])
        assert (findings.unreadable, findings.settled) == (1, {})
        assert set(reconcile(ops, map(billed, others)).settled) == {call_id}

    def test_missing_call_stays_in_suspense_when_it_was_posted_after_the_read(
        self, room: CouncilRoom, ops: WatchedDatabase
    ) -> None:
        found = others_of(room, lose_a_call(room))
        room.provider.enqueue(die)
        turn_id = room.take_until_killed("@writer hello")
        early = room.row("SELECT call_id FROM llm_calls WHERE turn_id = %s", turn_id)["call_id"]
        age(room, "49 hours", early, *found)
        ops.before(LOAD_SILENT, lambda: room.resume(turn_id))
        assert reconcile(ops, map(billed, [early, *found])).settled == {}
        assert set(reconcile(ops, map(billed, [early, *found])).settled) == {early}
        assert entries(room, early)[-1][:3] == ("adjustment", "platform", FAST_COST)

    def test_missing_call_stays_in_suspense_when_its_provider_has_no_record(
        self, room: CouncilRoom, ops: Database
    ) -> None:
        call_id = lose_a_call(room)
        age(room, "1 year", call_id)
        assert reconcile(ops, []) == Findings()
        assert room.accounts()["suspense"] == reserve(room, call_id)


def test_check_reports_the_same_and_changes_nothing(room: CouncilRoom, ops: Database) -> None:
    recorded, silent = lose_a_call(room), lose_a_call(room)
    others = others_of(room, silent)
    age(room, "49 hours", recorded, silent, *others)
    before = everything(room)
    records = [billed(recorded), billed(recorded), *map(billed, others), billed(uuid4()), None]
    assert set(reconcile(ops, records, check=True).settled) == {recorded}
    checked = reconcile(ops, records[:-1], check=True)
    assert everything(room) == before
    done = reconcile(ops, records[:-1])
    assert checked == done
    assert set(done.settled) == {recorded, silent}


def test_a_record_longer_than_a_batch_is_read_to_its_end(room: CouncilRoom, ops: Database) -> None:
    call_id = lose_a_call(room)
    findings = reconcile(ops, (billed(each) for each in [*(uuid4() for _ in range(1200)), call_id]))
    assert (findings.records, len(findings.unjournaled), set(findings.settled)) == (1201, 1200, {call_id})


def test_ledger_rows_name_their_provider(room: CouncilRoom, ops: WatchedDatabase) -> None:
    lost = lose_a_call(room)
    reconcile(ops, [billed(lost)])
    rows = room.rows("SELECT kind, provider, count(*) AS rows FROM usage_ledger GROUP BY 1, 2 ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [("adjustment", "scripted", 2), ("post", "scripted", 2)]
