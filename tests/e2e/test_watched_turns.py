"""Tests clients that watch a turn on the whole local stack in unusual ways: other protocols, slow or no reading."""

import json
import os
import signal
import socket
from decimal import Decimal
from http.client import IncompleteRead

import pytest

from shared.llm.port import MAX_TEXT_BYTES
from tests.e2e.test_crashes import port_of_last_query, worker_of
from tests.e2e.test_live_turns import watch
from tests.support.event_stream import Told
from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.tenant import ENDED, Tenant
from tests.support.stack.watcher import posted

# No answer here has more pieces.
ALL = 100
# Words of 10 kB, so that five megabytes have few pieces.
FIVE_MEGABYTES = " ".join(["x" * 9_999] * 500)


def names(events: list[Told]) -> list[str]:
    return [event.name for event in events if event.name != "reply.delta"]


def said(events: list[Told], position: int = 0) -> str:
    deltas = [event.body for event in events if event.name == "reply.delta"]
    return "".join(delta["text"] for delta in deltas if delta["position"] == position)


def has_ended(tenant: Tenant, turns: int = 1) -> bool:
    rows = tenant.rows("SELECT status FROM turns WHERE tenant_id = %s", tenant.id)
    return [row["status"] in ENDED for row in rows] == [True] * turns


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("is_half_closed", [False, True])
def test_client_gets_its_whole_turn_over_each_http_version_and_half_closed(
    tenant: Tenant, session_id: str, provider: FakeProvider, version: str, is_half_closed: bool
) -> None:
    provider.add(moods.stepped("One two three."))
    with posted(tenant, session_id, "@writer hello", version=version) as watcher:
        if is_half_closed:
            watcher.connection.shutdown(socket.SHUT_WR)
        watcher.begin()
        watcher.read_until("reply.started")
        provider.step(ALL)
        events = watcher.read_to_end()
    assert names(events) == ["turn", "plan", "reply.started", "reply.completed", "turn.ended"]
    assert said(events) == "One two three."
    assert tenant.http.get(f"turns/{events[-1].body['id']}").text == events[-1].data
    assert watcher.answer.headers["transfer-encoding"] == ("chunked" if version == "1.1" else None)


def test_turn_ends_in_its_time_when_its_reader_takes_nothing(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok("x" * 250_000), times=None)
    with posted(tenant, session_id, "@writer @researcher @critic hello", receive_buffer=4096) as watcher:
        eventually(lambda: has_ended(tenant), within_s=5)
        watcher.begin()
        events = watcher.read_to_end()
    replies = [event.body for event in events if event.name == "reply.completed"]
    assert replies == events[-1].body["replies"]
    assert [reply["text"].startswith(said(events, reply["position"])) for reply in replies] == [True] * 3
    assert tenant.http.get(f"turns/{events[-1].body['id']}").text == events[-1].data


def test_answer_of_five_megabytes_is_streamed_to_its_bound_and_paid_whole(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.ok(FIVE_MEGABYTES))
    _, events = watch(tenant, session_id, "@writer hello")
    turn = events[-1]["data"]
    (reply,) = turn["replies"]
    assert (len(reply["text"].encode()), reply["stop_reason"]) == (MAX_TEXT_BYTES, "size_limit")
    deltas = [event["data"]["text"] for event in events if event["event"] == "reply.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == reply["text"] == FIVE_MEGABYTES[:MAX_TEXT_BYTES]
    # A long answer makes a summary due.
    request, call = tenant.requests[0], tenant.calls(turn["id"])[0]
    assert request.usage is not None
    counts = (request.usage["prompt_tokens"], request.usage["completion_tokens"])
    assert counts == (call["posted_input"], call["posted_output"])
    rates = {name: Decimal(rate) for name, rate in call["rates"].items()}
    cost = (counts[0] * rates["input"] + counts[1] * rates["output"]) / 1_000_000
    assert call["amount_usd"] == cost == Decimal(turn["cost_usd"])


@pytest.mark.parametrize("end", ["closed", "reset", "left unread"])
def test_next_turn_of_a_process_has_no_events_of_a_turn_whose_reader_left(
    tenant: Tenant, session_id: str, provider: FakeProvider, end: str
) -> None:
    provider.add(moods.stepped("One two three."))
    with posted(tenant, session_id, "@writer first") as left:
        left.begin()
        provider.step(2)
        (delta,) = [event for event in left.read_until("reply.delta") if event.name == "reply.delta"]
        worker = worker_of(port_of_last_query(tenant))
        if end == "reset":
            left.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if end != "left unread":
            left.connection.close()
            left.answer.close()
        provider.step(ALL)
        eventually(lambda: has_ended(tenant))
        provider.add(moods.ok("Four five."))
        other = tenant.make_session("writer", "critic")
        _, events = watch(tenant, other, "@writer second")
        assert worker_of(port_of_last_query(tenant)) == worker
    assert [each["event"] for each in events if each["event"] != "reply.delta"] == [
        *("turn", "plan", "reply.started", "reply.completed", "turn.ended")
    ]
    assert "".join(each["data"]["text"] for each in events if each["event"] == "reply.delta") == "Four five."
    first, second = delta.body["text"], json.dumps(events)
    assert first.strip() == "One"
    assert "One" not in second
    assert {each["data"]["id"] for each in events if each["event"].startswith("turn")} == {events[0]["data"]["id"]}


def test_stream_breaks_off_when_its_process_is_killed_and_its_key_finds_the_turn(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.stepped("One two three."), when="You are Researcher,")
    with posted(tenant, session_id, "@writer @researcher hello", key="once") as watcher:
        watcher.begin()
        tenant.wait_for_requests(2)
        provider.step(2)
        watcher.read_until("reply.completed")
        os.kill(worker_of(port_of_last_query(tenant)), signal.SIGKILL)
        with pytest.raises(IncompleteRead):
            watcher.read_to_end()
    # The provider still waits for steps, and would take those of other tests.
    provider.step(ALL)
    assert "turn.ended" not in names(watcher.events)
    _, found = watch(tenant, session_id, "@writer @researcher hello", **{"Idempotency-Key": "once"})
    assert [each["event"] for each in found] == ["turn", "turn.handed_over"]
    turn_id = found[0]["data"]["id"]
    tenant.expire_lease(turn_id)
    turn = tenant.wait_for(turn_id)
    (completed,) = [event.body for event in watcher.events if event.name == "reply.completed"]
    assert turn["replies"][0] == completed
    assert [call["status"] for call in tenant.calls(turn_id)] == ["succeeded", "unknown", "succeeded"]
    _, replayed = watch(tenant, session_id, "@writer @researcher hello", **{"Idempotency-Key": "once"})
    assert [each["event"] for each in replayed] == ["turn", "turn.ended"]


def test_same_key_is_handed_over_in_mid_stream_and_the_first_stream_goes_on(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.stepped("One two three."))
    with posted(tenant, session_id, "@writer hello", key="once") as watcher:
        watcher.begin()
        provider.step(2)
        watcher.read_until("reply.delta")
        _, found = watch(tenant, session_id, "@writer hello", **{"Idempotency-Key": "once"})
        assert [each["event"] for each in found] == ["turn", "turn.handed_over"]
        provider.step(ALL)
        events = watcher.read_to_end()
    assert said(events) == "One two three."
    assert found[0]["data"]["id"] == events[-1].body["id"]
    assert len(tenant.requests) == 1


def test_turn_that_is_cancelled_in_mid_stream_skips_the_replies_to_come(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.stepped("One two three."))
    with posted(tenant, session_id, "@writer @researcher @critic hello") as watcher:
        watcher.begin()
        provider.step(2)
        turn_id = watcher.read_until("reply.delta")[0].body["id"]
        assert tenant.http.post(f"turns/{turn_id}/cancel").status_code == 202
        provider.step(ALL)
        events = watcher.read_to_end()
    ended = events[-1]
    assert (ended.name, ended.body["status"]) == ("turn.ended", "cancelled")
    replies = [event.body for event in events if event.name == "reply.completed"]
    assert [reply["status"] for reply in replies] == ["completed", "skipped", "skipped"]
    assert replies == ended.body["replies"]
    assert (said(events), said(events, 1)) == ("One two three.", "")
    assert len(tenant.requests) == 1
