"""Tests that a client gets each event of a turn once, across all its requests."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.turn import Plan
from shared.domain.turn_events import Event, Heard, Progress
from shared.domain.turn_snapshot import Started, TurnSnapshot, events_after

PLAN = Plan(("writer", "critic"), "tags", ("nobody",))


def started(position: int, attempt: int = 1) -> Started:
    return Started(position, f"agent-{position}", f"Agent {position}", "fast", attempt)


def reply(position: int, status: str = "completed") -> dict[str, Any]:
    return {"position": position, "status": status, "text": f"Reply {position}"}


def told(events: Sequence[Event]) -> list[tuple[str, int | None, str | None]]:
    return [(event.name, event.position, event.id) for event in events]


class TestEvents:
    def test_new_client_gets_the_turn_first(self) -> None:
        assert events_after(None, TurnSnapshot('{"id":"1"}')) == [Event("turn", '{"id":"1"}', "0")]

    def test_event_of_a_plan_equals_the_plan_of_the_turn(self) -> None:
        (event,) = events_after(Progress(), TurnSnapshot("{}", plan=PLAN))
        assert (event.name, event.id, json.loads(event.data)) == ("plan", "1", PLAN.as_dict())

    def test_a_started_reply_names_its_agent_alias_and_attempt(self) -> None:
        (event,) = events_after(Progress(planned=True), TurnSnapshot("{}", plan=PLAN, started={1: started(1, 2)}))
        assert told([event]) == [("reply.started", 1, "1.0.2")]
        assert json.loads(event.data) == {
            "position": 1,
            "agent_key": "agent-1",
            "name": "Agent 1",
            "model_alias": "fast",
            "attempt": 2,
        }

    def test_events_of_an_ended_turn_follow_its_plan_and_end_with_its_bytes(self) -> None:
        snapshot = TurnSnapshot(
            '{"stored":"größe"}',
            True,
            PLAN,
            {1: started(1, 3), 0: started(0)},
            {2: reply(2, "skipped"), 1: reply(1, "failed"), 0: reply(0)},
        )
        events = events_after(None, snapshot)
        assert told(events) == [
            ("turn", None, "0"),
            ("plan", None, "1"),
            ("reply.started", 0, "1.1"),
            ("reply.completed", 0, "1.1c"),
            ("reply.started", 1, "1.1c.3"),
            ("reply.completed", 1, "1.1c.3c"),
            ("reply.completed", 2, "1.1c.3c.0c"),
            ("turn.ended", None, "end"),
        ]
        assert events[-1].data == events[0].data == snapshot.body
        completed = [json.loads(event.data) for event in events if event.name == "reply.completed"]
        assert completed == [reply(0), reply(1, "failed"), reply(2, "skipped")]

    @pytest.mark.parametrize("seen", ["1.1c.1", "1.1c.2", "0.7", "end"])
    def test_client_gets_no_event_twice(self, seen: str) -> None:
        snapshot = TurnSnapshot("{}", plan=PLAN, started={0: started(0), 1: started(1)}, replies={0: reply(0)})
        names = [event.name for event in events_after(Progress.from_id(seen), snapshot)]
        assert names == {"0.7": ["plan", "reply.completed", "reply.started"]}.get(seen, [])

    def test_reply_of_a_live_stream_is_sent_again_when_it_was_not_stored(self) -> None:
        seen = Progress(planned=True).with_reply(0, Heard(1, completed=True))
        snapshot = TurnSnapshot("{}", plan=PLAN, started={0: started(0, 2)}, replies={0: reply(0)})
        assert told(events_after(seen, snapshot)) == [("reply.started", 0, "1.2"), ("reply.completed", 0, "1.2c")]

    def test_turn_without_a_plan_is_sent_to_its_end(self) -> None:
        assert told(events_after(None, TurnSnapshot("{}", True))) == [("turn", None, "0"), ("turn.ended", None, "end")]


@dataclass(frozen=True)
class History:
    """How a turn stands at one moment after the other. `attempts` are the calls of each position; without a call its
    reply is there at the end only."""

    attempts: tuple[int, ...]
    moments: tuple[TurnSnapshot, ...]


@st.composite
def histories(draw: st.DrawFn) -> History:
    attempts = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    # Each position starts its attempts one after the other, then has its reply. Positions interleave.
    steps = [position for position, count in enumerate(attempts) if count for _ in range(count + 1)]
    plan = Plan(tuple(f"agent-{position}" for position in range(len(attempts))), "tags")
    begun, replies = dict[int, Started](), dict[int, dict[str, Any]]()
    moments = [TurnSnapshot("{}"), TurnSnapshot("{}", plan=plan)]
    for position in draw(st.permutations(steps)):
        attempt = begun[position].attempt + 1 if position in begun else 1
        if attempt <= attempts[position]:
            begun[position] = started(position, attempt)
        else:
            replies[position] = reply(position)
        moments.append(TurnSnapshot("{}", False, plan, dict(begun), dict(replies)))
    ended = {position: replies.get(position, reply(position, "skipped")) for position in range(len(attempts))}
    return History(attempts, (*moments, TurnSnapshot('{"ended":1}', True, plan, dict(begun), ended)))


def follow(moments: Sequence[TurnSnapshot], most: st.DataObject) -> Iterator[list[Event]]:
    """The answers to a client that goes on from the id of its last event. An answer may be cut after any event. The
    last moment stays until the client has seen the end."""
    seen: Progress | None = None
    waiting = list(moments)
    while seen is None or not seen.ended:
        events = events_after(seen, waiting.pop(0) if len(waiting) > 1 else waiting[0])
        if events:
            events = events[: most.draw(st.integers(1, len(events)))]
            yield events
            assert events[-1].id is not None
            seen = Progress.from_id(events[-1].id)
            assert seen.as_id() == events[-1].id


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(histories(), st.data())
def test_answers_together_have_each_event_once(history: History, data: st.DataObject) -> None:
    polled = data.draw(st.sets(st.integers(0, len(history.moments) - 2)))
    answers = list(follow([*(history.moments[i] for i in sorted(polled)), history.moments[-1]], data))
    for answer in answers:
        positions = [event.position for event in answer if event.position is not None]
        assert positions == sorted(positions)
    events = [event for answer in answers for event in answer]
    assert events[0].name == "turn"
    assert events[-1] == Event("turn.ended", history.moments[-1].body, "end")
    names = [event.name for event in events]
    assert [names.count(name) for name in ("turn", "plan", "turn.ended")] == [1, 1, 1]
    for position, count in enumerate(history.attempts):
        mine = [event for event in events if event.position == position]
        attempts = [json.loads(event.data)["attempt"] for event in mine if event.name == "reply.started"]
        # A client that comes late hears of the newest attempt only.
        assert attempts == sorted(set(attempts))
        assert attempts[-1:] == [count][: bool(count)]
        assert [event.name for event in mine].index("reply.completed") == len(mine) - 1
        assert json.loads(mine[-1].data) == history.moments[-1].replies[position]


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(histories())
def test_client_that_reads_every_state_gets_an_event_of_each_attempt(history: History) -> None:
    seen: Progress | None = None
    heard = []
    for moment in history.moments:
        for event in events_after(seen, moment):
            seen = Progress.from_id(event.id or "")
            if event.name == "reply.started":
                heard.append((event.position, json.loads(event.data)["attempt"]))
    expected = {(position, number + 1) for position, count in enumerate(history.attempts) for number in range(count)}
    assert sorted(heard) == sorted(expected)
