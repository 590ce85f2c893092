"""Tests a posted turn whose client watches it, over HTTP on the whole local stack."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.tenant import Tenant

EVENTS = {"Accept": "text/event-stream"}


def read(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream as they come; comments are left out."""
    fields: dict[str, Any] = {}
    for line in lines:
        if not line and fields:
            yield {**fields, "data": json.loads(fields["data"])}
            fields = {}
        elif line and not line.startswith(":"):
            name, value = line.split(": ", 1)
            fields[name] = value


def watch(tenant: Tenant, session_id: str, message: str, **headers: str) -> tuple[httpx.Response, list[dict[str, Any]]]:
    address = f"sessions/{session_id}/turns"
    with tenant.http.stream("POST", address, json={"message": message}, headers=EVENTS | headers) as answer:
        if answer.status_code != 200:
            answer.read()
            return answer, []
        return answer, list(read(answer.iter_lines()))


def test_a_client_watches_its_turn(tenant: Tenant, session_id: str) -> None:
    answer, events = watch(tenant, session_id, "@writer @researcher hello")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert [each["event"] for each in events if each["event"] != "reply.delta"] == [
        "turn",
        "plan",
        "reply.started",
        "reply.completed",
        "reply.started",
        "reply.completed",
        "turn.ended",
    ]
    ended = events[-1]["data"]
    assert answer.headers["location"].endswith(f"/turns/{ended['id']}")
    for reply in ended["replies"]:
        said = [
            each["data"]["text"]
            for each in events
            if each["event"] == "reply.delta" and each["data"]["position"] == reply["position"]
        ]
        assert "".join(said) in (reply["text"], "")
    assert tenant.http.get(f"turns/{ended['id']}").json() == ended


def test_a_key_that_was_used_gets_the_turn_with_the_header(tenant: Tenant, session_id: str) -> None:
    first, events = watch(tenant, session_id, "@writer hello", **{"Idempotency-Key": "k"})
    again, replayed = watch(tenant, session_id, "@writer hello", **{"Idempotency-Key": "k"})
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert [each["event"] for each in replayed] == ["turn", "turn.ended"]
    assert replayed[-1] == events[-1]


def test_a_key_whose_turn_runs_gets_it_as_it_stands(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    provider.add(moods.hold())
    address, body = f"sessions/{session_id}/turns", {"message": "@writer hello"}
    headers = EVENTS | {"Idempotency-Key": "k"}
    with tenant.http.stream("POST", address, json=body, headers=headers) as running:
        tenant.wait_for_requests(1)
        other, events = watch(tenant, session_id, "@writer hello", **{"Idempotency-Key": "k"})
        assert [each["event"] for each in events] == ["turn", "turn.handed_over"]
        assert "idempotency-replayed" not in other.headers
        provider.release()
        assert list(read(running.iter_lines()))[-1]["event"] == "turn.ended"


def test_a_client_that_goes_away_changes_nothing(tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
    provider.add(moods.hold())
    parts = urlsplit(str(tenant.http.base_url))
    body = json.dumps({"message": "@writer hello"}).encode()
    head = (
        f"POST {parts.path.rstrip('/')}/sessions/{session_id}/turns HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: {tenant.http.headers['authorization']}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        client.sendall(head.encode() + body)
        assert b"200" in client.recv(4096)
    tenant.wait_for_requests(1)
    provider.release()
    eventually(
        lambda: (
            [row["status"] for row in tenant.rows("SELECT status FROM turns WHERE tenant_id = %s", tenant.id)]
            == ["completed"]
        )
    )


def test_a_turn_that_is_refused_is_a_problem(tenant: Tenant, session_id: str) -> None:
    answer, _ = watch(tenant, session_id, " ")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["code"] == "invalid_message"
    deleted = tenant.http.delete(f"sessions/{session_id}")
    assert deleted.status_code == 204
    answer, _ = watch(tenant, session_id, "@writer hello")
    assert answer.json()["code"] in ("session_deleted", "not_found")
