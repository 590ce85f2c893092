"""Tests GET /turns/{id}/events: the answer and the cost of one request."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from functions.api import events, waiting
from functions.http import Caller, caller, create_app, lambda_handler
from local.gateway.worker import LambdaContext
from shared.db.api.history import PAGE_BYTES
from shared.db.api.wait_slots import SLOTS, wait_slot
from shared.db.engine import Database
from shared.db.turns import _CALLS, load_snapshot
from shared.domain.turn_snapshot import events_after
from shared.llm.port import Request
from shared.names import API_PREFIX
from tests.integration.test_deletion import delete
from tests.integration.test_wait_slots import Clock, taken
from tests.support.council_room import CouncilRoom, Killed, answer, body, unbilled
from tests.support.event_stream import Answer, Told, read_events
from tests.support.gateway import problem_of, request
from tests.support.wiretap import Wiretap

BOTH = "@writer @critic hello"
Ask = Callable[..., dict[str, Any]]
Follow = Callable[..., Answer]


def die(_: Request) -> str:
    raise Killed


@pytest.fixture
def ask(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> Ask:
    """Send GET /turns/{id}/events as the gateway does, with another database if one is given."""
    app = create_app("Pantheon")
    app.include_router(events.router)
    handler = lambda_handler(app)

    def asked(
        turn_id: UUID, seen: str | None = None, db: Database | None = None, user: str = "user-1"
    ) -> dict[str, Any]:
        for module in (events, waiting):
            monkeypatch.setattr(module, "database", lambda: db or room.db)
        app.dependency_overrides[caller] = lambda: Caller(user, room.tenant_id, None, ("member",))
        headers = {} if seen is None else {"Last-Event-ID": seen}
        event = request("GET", f"{API_PREFIX}/turns/{turn_id}/events", headers=headers)
        return handler(event, LambdaContext("api", "invocation", time.monotonic() + 60))

    return asked


@pytest.fixture
def follow(ask: Ask) -> Follow:
    """The events of the answer."""

    def followed(*args: Any, **options: Any) -> Answer:
        given = ask(*args, **options)
        assert given["statusCode"] == 200, given["body"]
        assert given["headers"]["content-type"] == "text/event-stream"
        assert given["headers"]["cache-control"] == "no-store"
        return read_events(given["body"])

    return followed


@pytest.fixture
def clock(room: CouncilRoom, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(lambda: None)
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def full_house(room: CouncilRoom) -> Iterator[None]:
    with ExitStack() as slots:
        assert all(slots.enter_context(wait_slot(room.db, room.tenant_id)) for _ in range(SLOTS))
        yield


class TestEndedTurn:
    def test_ended_turn_is_sent_in_the_order_of_its_plan(self, room: CouncilRoom, follow: Follow, clock: Clock) -> None:
        room.provider.enqueue("Roses.", answer(""), answer("Violets."))
        outcome = room.take(BOTH)
        turn = body(outcome)
        said = follow(outcome.turn_id)
        assert said.names == [
            "turn",
            "plan",
            *("reply.started", "reply.completed") * 2,
            "turn.ended",
        ]
        assert (said.events[0].data, said.events[-1].data) == (outcome.body, outcome.body)
        assert said.events[1].body == turn["plan"]
        assert [event.body for event in said.events if event.name == "reply.completed"] == turn["replies"]
        assert [event.body for event in said.events if event.name == "reply.started"] == [
            {"position": 0, "agent_key": "writer", "name": "Writer", "model_alias": "fast", "attempt": 1},
            {"position": 1, "agent_key": "critic", "name": "Critic", "model_alias": "fast", "attempt": 2},
        ]
        assert (clock.sleeps, taken(room)) == (0, [])

    def test_events_of_failed_and_skipped_replies_equal_the_turn(self, room: CouncilRoom, follow: Follow) -> None:
        room.provider.enqueue(unbilled("refused"))
        turn_id = room.take("@writer @critic hello", later=True).turn_id
        room.owner.execute("UPDATE agent_versions SET model_alias = 'gone' WHERE key = 'critic'")
        turn = body(room.resume(turn_id))
        assert [reply["status"] for reply in turn["replies"]] == ["failed", "skipped"]
        told = [(event.name, event.body["position"]) for event in follow(turn_id).events if "reply" in event.name]
        assert told == [("reply.started", 0), ("reply.completed", 0), ("reply.completed", 1)]

    def test_routing_call_has_no_event(self, room: CouncilRoom, follow: Follow) -> None:
        room.provider.enqueue('{"selected_agent_keys": ["critic"]}', "Roses.")
        outcome = room.take("hello", mode="orchestrator")
        started = [event.body for event in follow(outcome.turn_id).events if event.name == "reply.started"]
        assert [(each["position"], each["agent_key"]) for each in started] == [(0, "critic")]

    def test_a_client_that_saw_the_end_gets_204(self, room: CouncilRoom, ask: Ask, clock: Clock) -> None:
        given = ask(room.take("@writer hello").turn_id, "end")
        assert (given["statusCode"], given["body"], clock.sleeps) == (204, "", 0)

    def test_huge_turn_is_sent_in_several_answers_without_a_wait(
        self, room: CouncilRoom, ask: Ask, clock: Clock
    ) -> None:
        room.provider.enqueue(*[answer("0" + "\x01" * 3_000_000)] * 3)
        outcome = room.take()
        given, answers, seen = list[Told](), 0, None
        while (page := ask(outcome.turn_id, seen))["statusCode"] == 200:
            assert len(page["body"].encode()) <= PAGE_BYTES + 100
            given += read_events(page["body"]).events
            answers, seen = answers + 1, given[-1].id
        assert answers > 1
        assert [event.name for event in given] == [
            "turn",
            "plan",
            *("reply.started", "reply.completed") * 3,
            "turn.ended",
        ]
        assert given[-1].data == outcome.body
        assert clock.sleeps == 0


class TestRunningTurn:
    def test_answer_continues_after_the_last_event_of_the_one_before(self, room: CouncilRoom, follow: Follow) -> None:
        """A second connection observes the turn during its calls."""
        answers = list[Answer]()

        def look(text: str) -> Callable[[Request], str]:
            def looked(_: Request) -> str:
                turn_id = room.row("SELECT id FROM turns")["id"]
                seen = answers[-1].events[-1].id if answers else None
                answers.append(follow(turn_id, seen, reader))
                return text

            return looked

        reader = room.open_database()
        room.provider.enqueue(look("Roses."), look(""), look("Violets."))
        outcome = room.take(BOTH)
        answers.append(follow(outcome.turn_id, answers[-1].events[-1].id, reader))
        assert [each.names for each in answers] == [
            ["turn", "plan", "reply.started"],
            ["reply.completed", "reply.started"],
            ["reply.started"],
            ["reply.completed", "turn.ended"],
        ]
        assert [event.body["attempt"] for each in answers for event in each.events if "started" in event.name] == [
            1,
            1,
            2,
        ]
        completed = [event.body for each in answers for event in each.events if event.name == "reply.completed"]
        assert completed == body(outcome)["replies"]

    def test_accepted_turn_has_no_plan_event(self, room: CouncilRoom, follow: Follow) -> None:
        standing = room.take("@writer hello", later=True)
        (event,) = follow(standing.turn_id).events
        assert (event.name, event.id, event.data) == ("turn", "0", standing.body)

    @pytest.mark.usefixtures("clock")
    def test_killed_call_has_no_completion_and_the_next_attempt_has_events(
        self, room: CouncilRoom, follow: Follow
    ) -> None:
        room.provider.enqueue("Roses.", die)
        turn_id = room.take_until_killed(BOTH)
        before = follow(turn_id)
        assert before.names == ["turn", "plan", "reply.started", "reply.completed", "reply.started"]
        assert follow(turn_id, before.events[-1].id).comments == 1
        room.resume(turn_id)
        after = follow(turn_id, before.events[-1].id)
        assert after.names == ["reply.started", "reply.completed", "turn.ended"]
        assert after.events[0].body["attempt"] == 2

    def test_turn_that_ends_between_the_reads_is_sent_completely(self, room: CouncilRoom) -> None:
        """Its calls are read before they are posted."""
        room.provider.enqueue("Roses.", die)
        turn_id = room.take_until_killed(BOTH)
        reader = room.open_database()
        reader.hold(_CALLS, lambda: room.resume(turn_id), "calls")
        names = [event.name for event in events_after(None, load_snapshot(reader, room.actor, turn_id))]
        assert names == ["turn", "plan", *("reply.started", "reply.completed") * 2, "turn.ended"]


class TestWait:
    @pytest.mark.parametrize("seen", ["0", "1.1"])
    def test_a_turn_without_news_is_a_comment_after_twenty_seconds(
        self, room: CouncilRoom, follow: Follow, clock: Clock, seen: str
    ) -> None:
        said = follow(room.take("@writer hello", later=True).turn_id, seen)
        assert (said.events, said.comments, said.retry_ms) == ((), 1, 200)
        assert clock.now == pytest.approx(20)
        assert clock.sleeps <= 40
        assert taken(room) == []

    def test_answer_is_sent_as_soon_as_there_is_an_event(
        self, room: CouncilRoom, follow: Follow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        clock = Clock(lambda: room.resume(turn_id))
        monkeypatch.setattr(waiting, "time", clock)
        assert follow(turn_id, "0").names == ["plan", "reply.started", "reply.completed", "turn.ended"]
        assert (clock.sleeps, taken(room)) == (1, [])

    @pytest.mark.usefixtures("full_house")
    def test_ninth_wait_gets_a_comment_at_once_and_retries_later(
        self, room: CouncilRoom, follow: Follow, clock: Clock
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        said = follow(turn_id, "0")
        assert (said.events, said.comments, said.retry_ms, clock.sleeps) == ((), 1, 2_000, 0)
        # An answer that need not wait needs no slot.
        assert (follow(turn_id).names, follow(turn_id).retry_ms) == (["turn"], 200)

    def test_each_poll_takes_one_round_trip_and_no_transaction_is_open_between_two(
        self, room: CouncilRoom, follow: Follow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = """SELECT count(*) AS open FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""
        asleep = list[int]()
        clock = Clock(lambda: asleep.append(room.row(query)["open"]))
        monkeypatch.setattr(waiting, "time", clock)
        turn_id = room.take("@writer hello", later=True).turn_id
        with Wiretap(room.app_url, ignoring="set_config") as tap:
            db = Database(tap.url)
            follow(turn_id, None, db)
            tap.reset()
            follow(turn_id, None, db)
            assert (tap.round_trips, tap.statements) == (1, 3)
            tap.reset()
            follow(turn_id, "0", db)
            # The first read, the slot, and a read after each sleep.
            assert tap.round_trips == 1 + 2 + clock.sleeps
            db.close()
        assert asleep == [0] * clock.sleeps


@pytest.mark.usefixtures("clock")
class TestRefusals:
    @pytest.mark.parametrize("seen", ["", "0 ", "2", "1.x", "End", "-1", "9" * 5_000, "1.99999", "ä"])
    def test_a_text_that_is_no_id_is_422(self, room: CouncilRoom, ask: Ask, seen: str) -> None:
        problem_of(ask(room.take("@writer hello").turn_id, seen), 422, "invalid_request")

    @pytest.mark.parametrize("seen", [None, "0", "end", "no id"])
    def test_user_without_access_gets_404(self, room: CouncilRoom, ask: Ask, seen: str | None) -> None:
        room.owner.execute("UPDATE sessions SET visibility = 'private'")
        turn_id = room.take("@writer hello").turn_id
        problem_of(ask(turn_id, seen, user="user-2"), 404, "not_found")
        assert ask(turn_id)["statusCode"] == 200

    @pytest.mark.parametrize("seen", [None, "0", "end"])
    def test_a_turn_of_a_deleted_session_is_404(self, room: CouncilRoom, ask: Ask, seen: str | None) -> None:
        turn_id = room.take("@writer hello").turn_id
        delete(room)
        problem_of(ask(turn_id, seen), 404, "not_found")

    def test_a_wait_ends_with_404_when_the_session_is_deleted(
        self, room: CouncilRoom, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turn_id = room.take("@writer hello", later=True).turn_id
        monkeypatch.setattr(waiting, "time", Clock(lambda: delete(room)))
        problem_of(ask(turn_id, "0"), 404, "not_found")
        assert taken(room) == []
