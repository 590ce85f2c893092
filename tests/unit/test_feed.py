"""Tests the buffer between a turn and the writer of its events."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from functions.turns.feed import MAX_WAITING_BYTES, Feed
from shared.domain.turn_events import Delta, Event


def started(position: int) -> Event:
    return Event("reply.started", "{}", "1.1", position)


def completed(position: int) -> Event:
    return Event("reply.completed", "{}", "1.1c", position)


def taken(feed: Feed) -> list[Event | Delta]:
    return feed.take(0) or []


def test_feed_gives_events_in_their_order_and_then_its_end() -> None:
    feed = Feed()
    items: list[Event | Delta] = [
        Event("turn", "{}", "0"),
        started(0),
        Delta(0, "a"),
        completed(0),
        Event("turn.ended", "{}", "end"),
    ]
    for item in items:
        feed.put(item)
    feed.end()
    assert taken(feed) == items
    assert feed.take() is None


def test_feed_is_empty_after_its_patience() -> None:
    feed = Feed()
    started_at = time.monotonic()
    assert feed.take(0.05) == []
    assert time.monotonic() - started_at >= 0.05


def test_feed_joins_the_pieces_of_one_reply_that_wait() -> None:
    feed = Feed()
    for position, text in [(0, "a"), (1, "x"), (0, "b"), (1, "y")]:
        feed.put(Delta(position, text))
    assert taken(feed) == [Delta(0, "ab"), Delta(1, "xy")]
    feed.put(Delta(0, "c"))
    assert taken(feed) == [Delta(0, "c")]


def test_feed_joins_no_pieces_across_an_event() -> None:
    feed = Feed()
    reset = Event("reply.reset", "{}", None, 0)
    items: list[Event | Delta] = [Delta(0, "a"), reset, started(0), Delta(0, "b")]
    for item in items:
        feed.put(item)
    assert taken(feed) == items


def test_feed_drops_the_rest_of_an_attempt_after_its_first_dropped_piece() -> None:
    feed = Feed(most=10)
    feed.put(Delta(0, "12345678"))
    feed.put(Delta(0, "too long"))
    feed.put(Delta(0, "9"))
    assert taken(feed) == [Delta(0, "12345678")]
    feed.put(Delta(0, "there is room again"))
    feed.put(Delta(1, "another"))
    assert taken(feed) == [Delta(1, "another")]
    feed.put(started(0))
    feed.put(Delta(0, "new"))
    assert taken(feed) == [started(0), Delta(0, "new")]


def test_feed_counts_bytes_and_takes_half_a_surrogate_pair() -> None:
    feed = Feed(most=5)
    for text in ("\ud83d", "é", "é"):
        feed.put(Delta(0, text))
    assert taken(feed) == [Delta(0, "\ud83dé")]


def test_feed_drops_no_event_when_its_reader_takes_nothing() -> None:
    feed = Feed()
    events = [completed(position) for position in range(500)]
    for event in events:
        feed.put(Delta(event.position or 0, "x" * 10_000))
        feed.put(event)
    got = taken(feed)
    assert [item for item in got if isinstance(item, Event)] == events
    waited = sum(len(item.text) for item in got if isinstance(item, Delta))
    assert MAX_WAITING_BYTES - 10_000 < waited <= MAX_WAITING_BYTES


def test_feed_never_blocks_its_turn_when_its_reader_sleeps() -> None:
    feed = Feed()
    seen: list[Event | Delta] = []

    def read() -> None:
        while (items := feed.take()) is not None:
            seen.extend(items)
            time.sleep(0.3)

    reader = threading.Thread(target=read)
    reader.start()
    began = time.monotonic()
    for _ in range(1000):
        feed.put(Delta(0, "x" * 2000))
    feed.put(completed(0))
    seconds = time.monotonic() - began
    feed.end()
    reader.join()
    assert seconds < 0.25
    assert seen[-1] == completed(0)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("delta"), st.integers(0, 2), st.text(min_size=1, max_size=6)),
        st.tuples(st.sampled_from(["started", "take"]), st.integers(0, 2), st.just("")),
    ),
    max_size=40,
)


@given(_steps, st.integers(1, 30))
def test_text_of_an_attempt_is_a_prefix_of_its_pieces_when_some_are_dropped(
    steps: list[tuple[str, int, str]], most: int
) -> None:
    feed = Feed(most)
    got: list[Event | Delta] = []
    said = {position: [""] for position in range(3)}
    for do, position, text in steps:
        if do == "delta":
            feed.put(Delta(position, text))
            said[position][-1] += text
        elif do == "started":
            feed.put(started(position))
            said[position].append("")
        else:
            got += taken(feed)
    got += taken(feed)
    for position, attempts in said.items():
        heard = [""]
        for item in got:
            if item.position == position and isinstance(item, Delta):
                heard[-1] += item.text
            elif item.position == position:
                heard.append("")
        assert len(heard) == len(attempts)
        assert all(whole.startswith(part) for part, whole in zip(heard, attempts, strict=True))
