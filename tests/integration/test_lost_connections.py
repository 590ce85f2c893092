"""Tests cut, dead and silent connections: a runner loses at most its turn.

No outcome is lost, and no commit without an answer is made twice.
"""

from types import SimpleNamespace

import psycopg
import pytest

from shared.db.engine import Statement
from shared.db.protocol import ACCEPT, OPEN, PUBLISH, RECORD
from shared.errors import DatabaseUnavailable, JournalUnavailable
from tests.integration.test_publish import nothing_is_published
from tests.support.council_room import CouncilRoom, body, names


@pytest.mark.parametrize(
    ("statement", "message"), [(OPEN, "@writer @critic hello"), (PUBLISH, "@writer hello")], ids=["open", "publish"]
)
def test_a_connection_that_is_cut_at_its_commit_loses_no_outcome(
    room: CouncilRoom, statement: Statement, message: str
) -> None:
    room.db.hold(statement, room.cut_connections)
    with pytest.raises(JournalUnavailable):
        room.take(message)
    assert room.calls() == [(0, 1, "fast", "succeeded", "reply", None)]
    assert nothing_is_published(room)
    room.expire_lease()
    assert body(room.resume(room.row("SELECT id FROM turns")["id"]))["status"] == "completed"
    assert room.accounts().keys() == {"tenant"}


@pytest.mark.parametrize(("failures", "status"), [(5, "succeeded"), (6, "intent")])
@pytest.mark.parametrize("error", [DatabaseUnavailable, psycopg.errors.DataCorrupted])
def test_outcome_is_recorded_in_three_tries_and_in_three_more_at_the_end(
    room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, error: type[Exception], failures: int, status: str
) -> None:
    def fail() -> None:
        raise error

    slept: list[float] = []
    monkeypatch.setattr("shared.turns.journal.time", SimpleNamespace(sleep=slept.append))
    for statement in (OPEN, *[RECORD] * failures):
        room.db.before(statement, fail)
    with pytest.raises(JournalUnavailable):
        room.take("@writer @critic hello")
    assert (room.calls("status"), slept) == ([(status,)], [0.2] * 4)


@pytest.mark.parametrize("statement", [ACCEPT, OPEN, PUBLISH], ids=["accept", "open", "publish"])
def test_connection_that_died_while_idle_is_replaced(room: CouncilRoom, statement: Statement) -> None:
    room.db.before(statement, room.cut_connections)
    assert room.take("@writer @critic hello").published
    assert room.accounts().keys() == {"tenant"}


# The commit whose answer is lost, the number of all calls, and their payer.
UNHEARD = {
    "accept": (ACCEPT, 2, {"tenant", "suspense"}),
    "open": (OPEN, 2, {"tenant", "suspense"}),
    "publish": (PUBLISH, 2, {"tenant"}),
}


@pytest.mark.parametrize("case", UNHEARD)
def test_commit_without_an_answer_is_found_again(room: CouncilRoom, case: str) -> None:
    statement, calls, accounts = UNHEARD[case]
    room.db.lose_answer(statement)
    with pytest.raises(JournalUnavailable):
        room.take("@writer @critic hello", idempotency_key="key-1")
    room.expire_lease()
    room.resume(room.row("SELECT id FROM turns")["id"])
    turn = body(room.take("@writer @critic hello", idempotency_key="key-1"))
    assert names(turn["replies"]) == [("writer", "completed", None), ("critic", "completed", None)]
    assert len(room.provider.requests) == calls
    assert room.accounts().keys() == accounts
