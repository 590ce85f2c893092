"""Tests GET /turns/{id}/events on turns of other processes: each event once, to the end, for permitted readers."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx

from shared.db.api.wait_slots import SLOTS
from tests.e2e.test_crashes import port_of_last_query, worker_of
from tests.e2e.test_later_turn import RESPOND_ASYNC
from tests.e2e.test_later_turn import held_turn as held_turn  # noqa: PLC0414 a fixture
from tests.support.event_stream import Answer, Told, read_events
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant

_WAITS = "SELECT count(*) AS active FROM waits WHERE tenant_id = %s AND ends_at > clock_timestamp()"
Held = tuple[str, "Future[httpx.Response]"]


def ask(http: httpx.Client, turn_id: str, seen: str | None = None) -> httpx.Response:
    return http.get(f"turns/{turn_id}/events", headers={} if seen is None else {"Last-Event-ID": seen})


def follow(http: httpx.Client, turn_id: str, seen: str | None = None) -> Answer:
    answer = ask(http, turn_id, seen)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    return read_events(answer.text)


def follow_to_the_end(http: httpx.Client, turn_id: str, seen: str | None = None) -> Iterator[Told]:
    """Follow the turn as an EventSource does: reconnect with the last id until the answer is 204."""
    while (answer := ask(http, turn_id, seen)).status_code == 200:
        for event in read_events(answer.text).events:
            yield event
            seen = event.id
    assert (answer.status_code, answer.content) == (204, b"")


def post_later(tenant: Tenant, session_id: str, message: str) -> str:
    posted = tenant.http.post(f"sessions/{session_id}/turns", json={"message": message}, headers=RESPOND_ASYNC)
    assert posted.status_code == 202
    return str(posted.json()["id"])


def places(events: list[Told]) -> list[tuple[str, int | None, int | None]]:
    """Return the name, position and attempt of each event."""
    return [
        (event.name, event.body.get("position"), event.body.get("attempt"))
        if event.name.startswith("reply.")
        else (event.name, None, None)
        for event in events
    ]


class TestRunning:
    def test_stream_has_all_events_from_the_start_and_from_each_id_on(
        self, tenant: Tenant, held_turn: Held, provider: FakeProvider
    ) -> None:
        turn_id, posted = held_turn
        events = list(follow(tenant.http, turn_id).events)
        assert places(events) == [
            ("turn", None, None),
            ("plan", None, None),
            ("reply.started", 0, 1),
            ("reply.completed", 0, None),
            ("reply.started", 1, 1),
        ]
        for number, event in enumerate(events[:-1]):
            assert list(follow(tenant.http, turn_id, event.id).events) == events[number + 1 :]
        with ThreadPoolExecutor() as threads:
            rest = threads.submit(follow, tenant.http, turn_id, events[-1].id)
            eventually(lambda: tenant.row(_WAITS, tenant.id)["active"])
            provider.release()
            events += rest.result().events
        stored = posted.result()
        assert places(events[5:]) == [("reply.completed", 1, None), ("turn.ended", None, None)]
        assert events[-1].data.encode() == stored.content
        assert [event.body for event in events if event.name == "reply.completed"] == stored.json()["replies"]
        # Ask once more after its end. Only the turn itself has changed.
        assert list(follow_to_the_end(tenant.http, turn_id))[1:] == events[1:]
        for number, event in enumerate(events):
            assert list(follow_to_the_end(tenant.http, turn_id, event.id)) == events[number + 1 :]

    def test_stream_has_the_events_of_a_workers_turn_to_its_end(self, tenant: Tenant, session_id: str) -> None:
        turn_id = post_later(tenant, session_id, "@writer @critic hello")
        events = list(follow_to_the_end(tenant.http, turn_id))
        assert [event.name for event in events] == [
            "turn",
            "plan",
            *("reply.started", "reply.completed") * 2,
            "turn.ended",
        ]
        assert events[0].body["status"] in ("accepted", "running", "completed")
        assert events[-1].data.encode() == tenant.http.get(f"turns/{turn_id}").content

    def test_call_of_a_dead_process_is_followed_by_the_next_attempts_events(
        self, tenant: Tenant, held_turn: Held
    ) -> None:
        turn_id, posted = held_turn
        victim = worker_of(port_of_last_query(tenant))
        before = list(follow(tenant.http, turn_id).events)
        os.kill(victim, signal.SIGKILL)
        assert posted.result().status_code == 502
        tenant.expire_lease(turn_id)
        after = list(follow_to_the_end(tenant.http, turn_id, before[-1].id))
        assert places(before + after) == [
            ("turn", None, None),
            ("plan", None, None),
            ("reply.started", 0, 1),
            ("reply.completed", 0, None),
            ("reply.started", 1, 1),
            ("reply.started", 1, 2),
            ("reply.completed", 1, None),
            ("turn.ended", None, None),
        ]

    def test_cancelled_turn_has_events_of_its_skipped_replies(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold())
        turn_id = post_later(tenant, session_id, "@writer @critic hello")
        tenant.wait_for_requests(1)
        before = list(follow(tenant.http, turn_id).events)
        assert tenant.http.post(f"turns/{turn_id}/cancel").status_code == 202
        provider.release()
        after = list(follow_to_the_end(tenant.http, turn_id, before[-1].id))
        assert places(before)[-1] == ("reply.started", 0, 1)
        assert [(event.name, event.body["status"]) for event in after] == [
            ("reply.completed", "completed"),
            ("reply.completed", "skipped"),
            ("turn.ended", "cancelled"),
        ]

    def test_failed_turn_has_an_event_of_its_failed_reply(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.status(400))
        events = list(follow_to_the_end(tenant.http, post_later(tenant, session_id, "@writer hello")))
        told = [(event.name, event.body["status"], event.body["error"]["code"]) for event in events[-2:]]
        assert told == [("reply.completed", "failed", "refused"), ("turn.ended", "failed", "no_reply")]


class TestWaits:
    def test_a_tenants_waits_of_both_kinds_are_eight_and_a_ninth_is_answered_at_once(
        self, tenant: Tenant, held_turn: Held, provider: FakeProvider
    ) -> None:
        turn_id, _ = held_turn
        seen = follow(tenant.http, turn_id).events[-1].id
        with ThreadPoolExecutor(SLOTS) as threads:
            followers = [threads.submit(follow, tenant.http, turn_id, seen) for _ in range(SLOTS // 2)]
            for _ in range(SLOTS // 2):
                threads.submit(tenant.http.get, f"turns/{turn_id}", params={"wait": 20})
            eventually(lambda: tenant.row(_WAITS, tenant.id) == {"active": SLOTS})
            ninth = follow(tenant.http, turn_id, seen)
            assert (ninth.events, ninth.comments, ninth.retry_ms) == ((), 1, 2_000)
            assert tenant.row(_WAITS, tenant.id) == {"active": SLOTS}
            provider.release()
        assert {tuple(each.result().names) for each in followers} == {("reply.completed", "turn.ended")}
        assert {each.result().retry_ms for each in followers} == {200}
