"""Tests a database that dies without closing its connections: a failover without FIN, or a server that hangs.

A runner waits for an answer for a bounded time, closes the connection, and goes on over a new one.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import Float, bindparam, func, select

from shared.db.compiler import compiled
from shared.db.operations.time_limit import read_within
from shared.db.pipeline import Pipeline
from shared.db.protocol import CLAIM
from shared.db.turns import load_turn
from shared.errors import DatabaseUnavailable
from shared.names import Role
from tests.support.black_hole import BlackHole
from tests.support.council_room import DEADLINE_S, CouncilRoom, wait_for
from tests.support.posted_turn import post_turn
from tests.support.watched_database import WatchedDatabase

# Any statement of a turn takes less time on a slow machine.
ANSWER_S = 1.0
_BACKEND = compiled(select(func.pg_backend_pid().label("pid")))
_SLEEP = compiled(select(func.pg_sleep(bindparam("b_seconds", type_=Float)).label("slept")))


@dataclass
class Mortal:
    """A connection that waits `ANSWER_S` for an answer. `die` stops all later answers. `bury` lets the server finish
    earlier statements.
    """

    db: WatchedDatabase
    die: Callable[[], object]
    bury: Callable[[], None]


def stopped_backend(room: CouncilRoom, stack: ExitStack) -> Mortal:
    db = room.open_database(answer_s=ANSWER_S)
    stopped: list[int] = []

    def die() -> None:
        stopped.append(db.read(None, _BACKEND, {})[0]["pid"])
        os.kill(stopped[-1], signal.SIGSTOP)

    def bury() -> None:
        while stopped:
            os.kill(pid := stopped.pop(), signal.SIGCONT)
            wait_for(lambda: not room.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid))

    stack.callback(bury)
    return Mortal(db, die, bury)


def black_hole(room: CouncilRoom, stack: ExitStack) -> Mortal:
    hole = stack.enter_context(BlackHole(room.app_url))
    return Mortal(room.open_database(hole.url, answer_s=ANSWER_S), hole.swallow, lambda: None)


@pytest.fixture(params=[stopped_backend, black_hole])
def mortal(request: pytest.FixtureRequest, room: CouncilRoom) -> Iterator[Mortal]:
    with ExitStack() as stack:
        yield request.param(room, stack)
        room.databases.close()


@pytest.mark.parametrize("message", ["@writer @critic hello", "@writer hello"], ids=["open", "publish"])
def test_a_turn_whose_database_dies_answers_503_in_time_and_loses_nothing(
    room: CouncilRoom, mortal: Mortal, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def die(_: object) -> str:
        mortal.die()
        return "Roses."

    room.provider.enqueue(die)
    started = time.monotonic()
    answered = post_turn(room, monkeypatch, message, db=mortal.db)
    # The client waits for the statement's answer once, and records its outcome over a new connection.
    assert ANSWER_S <= time.monotonic() - started < DEADLINE_S
    assert (answered.status, answered.body["code"]) == (503, "journal_unavailable")
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    mortal.bury()
    room.expire_lease()
    turn_id = room.row("SELECT id FROM turns")["id"]
    room.resume(turn_id)
    turn = load_turn(room.db, room.actor, turn_id)
    assert (turn.status, '"Roses."' in turn.body) == ("completed", True)
    assert room.row("SELECT count(*) AS posts FROM usage_ledger WHERE step = 0") == {"posts": 1}


def test_a_turn_that_cannot_be_loaded_is_loaded_over_a_new_connection(
    room: CouncilRoom, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    mortal.db.read(None, _BACKEND, {})
    mortal.die()
    assert post_turn(room, monkeypatch, "@writer hello", db=mortal.db).status == 201


def test_a_read_is_sent_once_more_over_a_new_connection(room: CouncilRoom, mortal: Mortal) -> None:
    turn_id = room.take("@writer hello", runner=room.runner(db=mortal.db)).turn_id
    mortal.die()
    assert load_turn(mortal.db, room.actor, turn_id).status == "completed"


def test_a_report_without_an_answer_is_not_sent_again(room: CouncilRoom, mortal: Mortal) -> None:
    mortal.db.read(None, _BACKEND, {})
    mortal.die()
    with pytest.raises(DatabaseUnavailable):
        mortal.db.read(None, _BACKEND, {}, answer_s=ANSWER_S)


def test_a_report_over_a_connection_that_was_cut_is_sent_again(room: CouncilRoom) -> None:
    room.db.read(None, _BACKEND, {})
    room.cut_connections()
    assert room.db.read(None, _BACKEND, {}, answer_s=DEADLINE_S)


def test_the_server_ends_a_statement_whose_client_has_gone(room: CouncilRoom) -> None:
    db = room.open_database(f"{room.app_url}?options=-c%20client_connection_check_interval%3D100", answer_s=ANSWER_S)
    with pytest.raises(DatabaseUnavailable):
        db.run(None, _SLEEP, {"b_seconds": DEADLINE_S * 10})
    wait_for(lambda: not room.rows("SELECT FROM pg_stat_activity WHERE usename = %s AND state = 'active'", Role.APP))


def test_a_write_is_not_sent_again(room: CouncilRoom, mortal: Mortal) -> None:
    mortal.db.read(None, _BACKEND, {})
    mortal.die()
    with pytest.raises(DatabaseUnavailable):
        mortal.db.run(None, _BACKEND, {})


def test_late_answer_is_not_used_for_the_next_statement(room: CouncilRoom) -> None:
    db = room.open_database(answer_s=ANSWER_S)
    with pytest.raises(DatabaseUnavailable):
        db.run(None, _SLEEP, {"b_seconds": ANSWER_S * 2})
    assert list(db.run(None, _BACKEND, {})[0]) == ["pid"]


def test_statement_may_have_a_longer_limit(room: CouncilRoom) -> None:
    db = room.open_database(answer_s=ANSWER_S)
    assert db.read_all(None, (_SLEEP, {"b_seconds": ANSWER_S * 2}), answer_s=DEADLINE_S)


def test_read_may_have_a_limit_of_its_own(room: CouncilRoom, ops_url: str) -> None:
    db = room.open_database(ops_url, answer_s=0.1)
    assert read_within(db, ANSWER_S, (_SLEEP, {"b_seconds": 0.5}))
    with pytest.raises(DatabaseUnavailable) as ended:
        read_within(db, 0.2, (_SLEEP, {"b_seconds": DEADLINE_S}))
    assert isinstance(ended.value.__cause__, psycopg.errors.QueryCanceled)


def test_an_exchange_without_an_answer_is_undone(room: CouncilRoom) -> None:
    db = room.open_database(answer_s=ANSWER_S)
    params = {"t_id": room.take("@writer hello", later=True).turn_id, "t_of_graphs": False}
    with pytest.raises(DatabaseUnavailable):
        db.run_all(room.tenant_id, (CLAIM, params), (_SLEEP, {"b_seconds": ANSWER_S * 2}))
    assert room.row("SELECT status, lease_epoch FROM turns") == {"status": "accepted", "lease_epoch": 0}


def test_a_connection_without_an_answer_is_closed(room: CouncilRoom) -> None:
    with psycopg.connect(room.app_url, autocommit=True) as connection:
        pipeline = Pipeline(connection, answer_s=ANSWER_S)
        with pytest.raises(psycopg.OperationalError, match="in time"):
            pipeline.run([("SELECT pg_sleep(5)", ())])
        assert connection.closed


def test_the_kernel_gives_up_a_host_that_is_gone(room: CouncilRoom) -> None:
    room.db.read(None, _BACKEND, {})
    assert room.db._pipeline is not None
    options = room.db._pipeline.connection.info.get_parameters()
    assert {name: options[name] for name in ("keepalives_idle", "keepalives_interval", "tcp_user_timeout")} == {
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "tcp_user_timeout": "10000",
    }
