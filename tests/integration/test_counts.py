"""Tests the number of round trips and transaction ids of a turn, and that no lock or transaction outlasts a
statement.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from shared.db.api.health import load_checks
from shared.db.engine import Database
from shared.domain.turn import Turn
from shared.domain.turn_events import Listener
from shared.llm.port import Request
from shared.settings import settings
from tests.support.council_room import CouncilRoom, body
from tests.support.heard import Heard
from tests.support.model_answers import Helpers, said
from tests.support.wiretap import Wiretap

# As many agents as calls, because a plan has each agent once.
KEYS = ("writer", "researcher", "critic", "planner", "editor")
SETTING_THE_TENANT = "set_config('app.tenant_id'"


@pytest.fixture
def tapped(room: CouncilRoom) -> Iterator[tuple[Wiretap, Database]]:
    room.make_agent("planner")
    room.make_agent("editor")
    with Wiretap(room.app_url, ignoring=SETTING_THE_TENANT) as tap:
        db = Database(tap.url)
        load_checks(db)
        yield tap, db
        db.close()


@pytest.mark.parametrize("calls", [1, 3, 5])
@pytest.mark.parametrize("prepared", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("listener", [None, Heard()], ids=["silent", "live"])
def test_a_turn_of_n_calls_takes_n_plus_two_round_trips_and_n_plus_one_commits(
    room: CouncilRoom, tapped: tuple[Wiretap, Database], calls: int, prepared: bool, listener: Listener | None
) -> None:
    tap, db = tapped
    message = " ".join(f"@{key}" for key in KEYS[:calls])
    sessions = [room.make_session(agent_keys=KEYS), room.make_session(agent_keys=KEYS)]
    runner = room.runner(db=db)
    if prepared:
        room.take(message, runner=runner, session_id=sessions[0])
    tap.reset()
    before = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
    room.take(message, runner=runner, session_id=sessions[1], listener=listener)
    after = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
    assert len(room.provider.requests) == calls * (1 + prepared)
    # The first exchange loads. The second accepts: the session, the tenant and its bounds, the turn, the hold and the
    # check. One for each other call: fence, outcome and hold. The last publishes: fence, lost calls, outcome, end,
    # replies, audit and money.
    assert tap.statements == 1 + (6 if prepared else 8) + 3 * (calls - 1) + 7
    assert tap.round_trips == calls + 2
    # Each query takes an id itself. Loading the turn's context takes none, because it writes nothing.
    assert after - before - 1 == calls + 1


def test_a_turns_response_is_made_and_encoded_once(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def encode(turn: Turn, once: Callable[[Turn], str] = Turn.as_json) -> str:
        encoded.append(once(turn))
        return encoded[-1]

    monkeypatch.setattr(Turn, "as_json", encode)
    outcome = room.take("@writer @critic hello")
    assert encoded == [outcome.body]
    assert room.row("SELECT response FROM turns") == {"response": outcome.body}


SHAPES = {
    # The mode, the fan-out and the agents. Then the helpers' part: the manager's call, and two of a summary.
    "tag": ("tag", "sequential", 2, 2),
    "roundtable": ("roundtable", "sequential", 5, 2),
    "orchestrator": ("orchestrator", "sequential", 3, 3),
    "parallel": ("tag", "parallel", 3, 2),
    "manual, parallel": ("manual", "parallel", 5, 2),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_routing_and_a_summary_cost_what_other_calls_cost(
    room: CouncilRoom,
    tapped: tuple[Wiretap, Database],
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[str, str, int, int],
) -> None:
    monkeypatch.setenv("PANTHEON_SUMMARY_AFTER_TURNS", "2")
    settings.cache_clear()
    tap, db = tapped
    mode, fan_out, agents, helpers = shape
    runner = room.runner(db=db, provider=(provider := Helpers()))
    session_id = room.make_session(mode=mode, fan_out=fan_out, agent_keys=KEYS)
    provider.answer("routing", said(json.dumps({"selected_agent_keys": KEYS[:agents]})))
    message = " ".join(f"@{key}" for key in KEYS[:agents])
    room.take("@writer hello", runner=runner, session_id=session_id, mode="tag")
    tap.reset()
    before = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
    turn = body(room.take(message, runner=runner, session_id=session_id))
    after = room.row("SELECT pg_current_xact_id()::text::bigint AS id")["id"]
    calls = agents + helpers
    assert (turn["summary_triggered"], len(turn["replies"]), len(provider.requests)) == (True, agents, 1 + calls)
    # Each outcome shares a commit with the next intent, except the last one. The intents of parallel calls share one,
    # and each of their outcomes has its own, except the last.
    commits = calls + 1
    assert after - before - 1 == commits <= calls + 2
    assert tap.round_trips == commits + 1


def test_no_transaction_or_lock_is_open_during_a_call(room: CouncilRoom) -> None:
    def look(_: Request) -> str:
        mine = "datname = current_database() AND pid <> pg_backend_pid() AND usename = 'pantheon_app'"
        seen.append(
            room.row(f"SELECT count(*) AS connected, count(xact_start) AS open FROM pg_stat_activity WHERE {mine}")
        )
        query = """SELECT count(*) AS locks FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.datname = current_database() AND pid <> pg_backend_pid()"""
        seen.append(room.row(query))
        return "Roses."

    seen: list[dict[str, int]] = []
    room.provider.enqueue(look, look, look)
    room.take("@writer @researcher @critic hello")
    assert seen == [{"connected": 1, "open": 0}, {"locks": 0}] * 3


def test_a_replay_of_an_ended_turn_takes_one_statement_and_one_round_trip(
    room: CouncilRoom, tapped: tuple[Wiretap, Database]
) -> None:
    tap, db = tapped
    runner = room.runner(db=db)
    first = room.take("@writer hello", runner=runner, idempotency_key="key-1")
    tap.reset()
    again = room.take("@writer hello", runner=runner, idempotency_key="key-1")
    assert (again.replayed, again.turn_id, again.status, again.body) == (True, first.turn_id, "completed", first.body)
    assert (tap.statements, tap.round_trips) == (1, 1)


def test_a_replay_of_a_running_turn_takes_one_round_trip_more(
    room: CouncilRoom, tapped: tuple[Wiretap, Database]
) -> None:
    tap, db = tapped
    runner = room.runner(db=db)
    first = room.take("@writer hello", runner=runner, idempotency_key="key-1", later=True)
    tap.reset()
    again = room.take("@writer hello", runner=runner, idempotency_key="key-1", later=True)
    assert (again.replayed, again.turn_id, again.status) == (False, first.turn_id, "accepted")
    assert tap.round_trips == 2
