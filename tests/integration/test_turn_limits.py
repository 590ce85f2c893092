"""Tests the limits of one turn and the rate of a tenant's turns: refused before a call, without a statement of
its own.
"""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from shared.db.protocol import ACCEPT, LOAD_NEW_TURN
from shared.domain.money import Usage
from shared.errors import RateLimited, TurnConflict, TurnLimitExceeded
from shared.llm.port import Request
from shared.names import Env
from shared.settings import settings
from tests.support.council_room import CouncilRoom, Killed, answer, body, names, unbilled

ALL = "@writer @researcher @critic hello"
CODE = "turn_limit_exceeded"
# The planner expects a few turns of a tenant instead of ten thousand, and considers sorting cheapest.
FEW_TO_A_TENANT = """
    ANALYZE turns;
    SELECT pg_clear_attribute_stats('public', 'turns', 'tenant_id', false);
    SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', 'turns', 'attname', 'tenant_id',
      'inherited', false, 'null_frac', 0::real, 'avg_width', 16, 'n_distinct', 1600::real)"""
Limit = Callable[[Env, object], None]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch, room: CouncilRoom) -> Limit:
    """Set one of the deployment's limits."""

    def limit(name: Env, value: object) -> None:
        monkeypatch.setenv(name, str(value))
        settings.cache_clear()

    return limit


class TestTurn:
    def test_rest_of_the_plan_is_skipped_beyond_the_cap_on_calls(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURN_MAX_CALLS, 2)
        turn = body(room.take(ALL))
        assert names(turn["replies"]) == [
            ("writer", "completed", None),
            ("researcher", "completed", None),
            ("critic", "skipped", CODE),
        ]
        assert (turn["status"], len(room.provider.requests)) == ("completed", 2)

    def test_attempts_of_a_dead_process_count_against_the_cap(self, room: CouncilRoom, limit: Limit) -> None:
        def die(_: Request) -> str:
            raise Killed

        limit(Env.TURN_MAX_CALLS, 3)
        room.provider.enqueue(unbilled("throttled"), die, answer())
        turn = body(room.resume(room.take_until_killed(ALL)))
        assert names(turn["replies"]) == [
            ("writer", "completed", None),
            ("researcher", "skipped", CODE),
            ("critic", "skipped", CODE),
        ]
        assert len(room.calls()) == 3

    def test_tokens_that_a_provider_counted_leave_no_room_for_another_call(
        self, room: CouncilRoom, limit: Limit
    ) -> None:
        room.provider.enqueue(answer(usage=Usage(input_tokens=40, output_tokens=900, reasoning_tokens=60)))
        limit(Env.TURN_MAX_TOKENS, 1100)
        turn = body(room.take(ALL))
        assert [reply["status"] for reply in turn["replies"]] == ["completed", "skipped", "skipped"]

    def test_cost_of_a_turn_stays_within_its_cap_for_both_payers(self, room: CouncilRoom, limit: Limit) -> None:
        room.take(ALL)
        reserves = [reserve for (reserve,) in room.calls("reserve_usd")]
        limit(Env.TURN_MAX_USD, reserves[0] + reserves[1] / 2)
        turn = body(room.take(ALL, session_id=room.make_session(), mode="roundtable"))
        spent = Decimal(turn["cost_usd"]) + Decimal(turn["platform_cost_usd"])
        assert names(turn["replies"])[1][1:] == ("skipped", CODE)
        assert spent <= reserves[0] + reserves[1] / 2

    def test_parallel_calls_start_up_to_the_cap(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURN_MAX_CALLS, 2)
        turn = body(room.take(ALL, session_id=room.make_session(fan_out="parallel")))
        assert [reply["status"] for reply in turn["replies"]] == ["completed", "completed", "skipped"]
        assert names(turn["replies"])[2][2] == CODE
        assert len(room.provider.requests) == 2

    def test_turn_is_refused_when_its_first_call_does_not_fit(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURN_MAX_TOKENS, 10)
        with pytest.raises(TurnLimitExceeded):
            room.take(ALL)
        assert room.provider.requests == []
        assert room.rows("SELECT id FROM turns") == []

    def test_a_turn_that_was_accepted_for_later_ends_with_its_plan_skipped(
        self, room: CouncilRoom, limit: Limit
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        limit(Env.TURN_MAX_TOKENS, 10)
        turn = body(room.resume(turn_id))
        assert (turn["status"], names(turn["replies"])) == ("failed", [("writer", "skipped", CODE)])
        assert room.row("SELECT plan FROM turns") == {"plan": turn["plan"]}

    def test_turn_does_without_routing_and_summary_beyond_the_cap(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURN_MAX_CALLS, 1)
        limit(Env.SUMMARY_AFTER_TOKENS, 100)
        turn = body(room.take("hello " * 200, mode="orchestrator"))
        # The cap is one call, which was the manager's.
        assert turn["plan"]["source"] == "fallback"
        assert [reply["status"] for reply in turn["replies"]] == ["skipped"]
        turn = body(room.take("@writer " + "hello " * 200, session_id=room.make_session()))
        assert [reply["status"] for reply in turn["replies"]] == ["completed"]
        assert (turn["fallbacks"][0]["component"], turn["fallbacks"][0]["reason"]) == ("summary_text", CODE)

    @pytest.mark.parametrize("name", [Env.TURN_MAX_CALLS, Env.TURN_MAX_TOKENS, Env.TURN_MAX_USD, Env.TURNS_PER_MINUTE])
    def test_limit_of_zero_means_no_limit(self, room: CouncilRoom, limit: Limit, name: Env) -> None:
        limit(name, 0)
        assert len(body(room.take(ALL))["replies"]) == len(room.provider.requests) == 3


class TestRate:
    def test_turns_beyond_the_rate_are_refused_until_the_first_is_a_minute_old(
        self, room: CouncilRoom, limit: Limit
    ) -> None:
        limit(Env.TURNS_PER_MINUTE, 2)
        for _ in range(2):
            assert room.take("@writer hello", session_id=room.make_session()).published
        with pytest.raises(RateLimited) as refused:
            room.take("@writer hello")
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
        assert (len(room.provider.requests), room.row("SELECT count(*) FROM turns")["count"]) == (2, 2)
        first = "(SELECT id FROM turns ORDER BY id LIMIT 1)"
        room.owner.execute(f"UPDATE turns SET created_at = now() - interval '49 s' WHERE id = {first}".encode())
        with pytest.raises(RateLimited) as refused:
            room.take("@writer hello")
        assert int(refused.value.headers["Retry-After"]) in (10, 11)
        room.owner.execute(f"UPDATE turns SET created_at = now() - interval '61 s' WHERE id = {first}".encode())
        assert room.take("@writer hello").published

    def test_each_tenant_has_its_own_rate(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURNS_PER_MINUTE, 1)
        room.take("@writer hello")
        other = CouncilRoom(room.owner, room.app_url, tenant_id="tenant-2")
        with other.databases:
            assert other.take("@writer hello").published

    def test_replays_and_conflicts_do_not_count_against_the_rate(self, room: CouncilRoom, limit: Limit) -> None:
        def post_again(_: Request) -> str:
            with pytest.raises(TurnConflict):
                room.take("@writer hello", runner=room.runner(db=room.open_database()))
            return "Roses."

        limit(Env.TURNS_PER_MINUTE, 1)
        room.provider.enqueue(post_again)
        room.take("@writer hello", idempotency_key="key-1")
        assert room.take("@writer hello", idempotency_key="key-1").replayed

    def test_a_refused_turn_leaves_its_key_free(self, room: CouncilRoom, limit: Limit) -> None:
        limit(Env.TURNS_PER_MINUTE, 1)
        room.take("@writer hello")
        with pytest.raises(RateLimited):
            room.take("@writer hello", idempotency_key="key-1")
        limit(Env.TURNS_PER_MINUTE, 2)
        assert room.take("@critic hello", idempotency_key="key-1").published

    def test_a_turn_that_was_loaded_before_another_was_accepted_is_refused(
        self, room: CouncilRoom, limit: Limit
    ) -> None:
        limit(Env.TURNS_PER_MINUTE, 1)
        elsewhere = room.make_session()
        late = room.runner(db=room.open_database())
        room.db.before(ACCEPT, lambda: room.take("@critic hello", runner=late, session_id=elsewhere))
        with pytest.raises(RateLimited):
            room.take("@writer hello")
        assert room.row("SELECT count(*) FROM turns")["count"] == 1

    @pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
    @pytest.mark.parametrize("statistics", [None, "ANALYZE turns", FEW_TO_A_TENANT])
    def test_rate_reads_at_most_its_number_of_ten_thousand_turns(
        self, room: CouncilRoom, statistics: str | None, mode: str
    ) -> None:
        room.take("@writer hello")
        columns = "tenant_id, session_id, user_id, status, fingerprint, message, mode, fan_out, roster, lease_epoch"
        room.owner.execute(
            f"""INSERT INTO turns (id, turn_index, {columns}) SELECT gen_random_uuid(), g, {columns}
            FROM turns, generate_series(2, 10000) g""".encode()
        )
        room.owner.execute("UPDATE sessions SET next_turn_index = 10001")
        if statistics:
            room.owner.execute(statistics.encode())
        # A turn of another session, so that the reads of the tenant's turns are those for the rate.
        elsewhere = room.make_session()
        assert rows_read(room, elsewhere, mode, most=10) == 10
        assert rows_read(room, elsewhere, mode, most=0) == 0
        room.owner.execute("SELECT pg_clear_attribute_stats('public', 'turns', 'tenant_id', false)")


def rows_read(room: CouncilRoom, session_id: UUID, mode: str, most: int) -> int:
    """Return the rows of `turns` and index entries that loading a turn's context reads.

    Postgres's own counters also see reads inside functions.
    """
    params = {
        "b_tenant_id": room.tenant_id,
        "b_session_id": session_id,
        "b_idempotency_key": None,
        "b_is_chat": False,
        "b_made": None,
        "b_turns_per_minute": most,
        "b_active_turns": 0,
        "b_history_turns": 50,
        **room.actor.params,
    }
    ((load, values),) = LOAD_NEW_TURN.sent(params)
    counted = """
        SELECT sum(pg_stat_get_xact_tuples_returned(read)) FROM (
            SELECT 'turns'::regclass::oid AS read UNION ALL
            SELECT indexrelid FROM pg_index WHERE indrelid = 'turns'::regclass)"""
    with psycopg.connect(room.app_url) as connection:
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (room.tenant_id,))
        cursor = psycopg.RawCursor(connection)
        cursor.execute(load.encode(), values, prepare=True)
        (loaded,) = cursor.fetchall()
        assert (loaded[-2] is not None) == (most > 0)
        cursor.execute(counted.encode())
        ((read,),) = cursor.fetchall()
    return int(read)
