"""Tests a cancel or a delete that meets another step of the turn at a lock: the one that waits sees the other's
changes.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from shared.db.protocol import ACCEPT, OPEN, PUBLISH
from shared.errors import NotFound, SessionDeleted
from shared.llm.port import Completion, Request
from tests.support.council_room import DEADLINE_S, CouncilRoom, answer, body, names, words_left
from tests.support.other_process import OtherProcess

MESSAGE = "@writer @critic sesame"
ANSWERED = [("writer", "completed", None), ("critic", "completed", None)]


def test_an_ask_that_waits_for_a_cancel_is_not_made(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(other.comes_first(None, other.cancel))
    turn = body(room.take(MESSAGE))
    assert (turn["status"], len(room.provider.requests), len(room.calls())) == ("cancelled", 1, 1)
    assert names(turn["replies"]) == [("writer", "completed", None), ("critic", "skipped", "cancelled")]


def test_a_cancel_that_waits_for_an_ask_lets_that_call_be_the_last(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(answer(), other.is_waited_for)
    other.comes_second(OPEN, other.cancel)
    turn = body(room.take("@writer @critic @researcher"))
    assert (turn["status"], len(room.provider.requests)) == ("cancelled", 2)
    assert names(turn["replies"]) == [*ANSWERED, ("researcher", "skipped", "cancelled")]


def test_a_publish_that_waits_for_a_cancel_publishes_a_cancelled_turn(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(other.comes_first(None, other.cancel))
    turn = body(room.take("@writer"))
    assert (turn["status"], names(turn["replies"])) == ("cancelled", ANSWERED[:1])


def test_a_delete_that_waits_for_a_publish_takes_the_words_away_again(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(answer("sesame"), answer("sesame"))
    other.comes_second(PUBLISH, other.delete)
    assert room.take(MESSAGE).published
    other.result()
    assert words_left(room, "sesame") == {}


def test_a_delete_that_waits_for_an_accept_deletes_that_turn_too(room: CouncilRoom, other: OtherProcess) -> None:
    room.provider.enqueue(other.is_waited_for)
    other.comes_second(ACCEPT, other.delete)
    with pytest.raises(SessionDeleted):
        room.take(MESSAGE)
    assert words_left(room, "sesame") == {}


@contextmanager
def half_deleted(room: CouncilRoom, other: OtherProcess) -> Iterator[Callable[[], None]]:
    """Delete the session in another process, which stops half way at a reply of an earlier turn.

    Yields a function that lets it go on once another process waits for it.
    """

    def go_on() -> None:
        room.wait_until_blocked(2)
        locker.commit()

    with psycopg.connect(room.owner_url) as locker:
        locker.execute("SELECT text FROM replies FOR UPDATE")
        parts = [other.start(other.delete)]
        room.wait_until_blocked()
        yield lambda: parts.append(other.start(go_on))
        for part in parts:
            part.result(DEADLINE_S)


def test_a_publish_that_waits_for_a_delete_publishes_no_word(room: CouncilRoom, other: OtherProcess) -> None:
    def delete_half(_: Request) -> Completion:
        room.db.before(PUBLISH, stack.enter_context(half_deleted(room, other)))
        return answer("sesame")

    room.take("@writer before")
    room.provider.enqueue(delete_half)
    with ExitStack() as stack, pytest.raises(SessionDeleted):
        room.take("@writer sesame")
    assert words_left(room, "sesame") == {}


def test_an_accept_that_waits_for_a_delete_finds_no_session(room: CouncilRoom, other: OtherProcess) -> None:
    def delete_half() -> None:
        stack.enter_context(half_deleted(room, other))()

    room.take("@writer before")
    room.db.before(ACCEPT, delete_half)
    with ExitStack() as stack, pytest.raises(NotFound):
        room.take("@writer sesame")
    assert len(room.provider.requests) == len(room.rows("SELECT id FROM turns")) == 1
