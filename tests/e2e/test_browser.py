"""Tests that a web page of another origin watches a turn, in a real browser and by a browser's requests."""

import json
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from shared.domain.turn_events import Progress
from tests.support import browser
from tests.support.fake_provider import FakeProvider, moods
from tests.support.fake_provider.streamed import DONE
from tests.support.processes import DEADLINE_S
from tests.support.stack.tenant import Tenant
from tests.support.streamed_answers import COUNTED, STOP, said

PAGE = {"Origin": "http://localhost:5173"}
EVENTS = {"Accept": "text/event-stream"}
NAMES = ["turn", "plan", "reply.started", "reply.delta", "reply.delta", "reply.completed", "turn.ended"]

SCRIPT = """
const read = async (kind, response) => {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let piece; !(piece = await reader.read()).done;) {
    text += piece.value;
    const blocks = text.split("\\n\\n");
    text = blocks.pop();
    for (const block of blocks.filter(block => !block.startsWith(":"))) {
      const lines = block.split("\\n").map(line => line.split(/: (.*)/s));
      tell({kind, ...Object.fromEntries(lines)});
    }
  }
};
const headers = {Authorization: `Bearer ${given.token}`};
const posting = {Accept: "text/event-stream", "Content-Type": "application/json", "Idempotency-Key": "page"};
const posted = await fetch(`${given.api}sessions/${given.session}/turns`, {
  method: "POST", headers: {...headers, ...posting}, body: JSON.stringify({message: "@writer hello"}),
});
tell({kind: "answer", status: posted.status, type: posted.headers.get("Content-Type"),
  location: posted.headers.get("Location")});
await read("posted", posted);
const turn = `${given.api}turns/${posted.headers.get("Location").split("/").pop()}/events`;
for (let seen = given.seen; ;) {
  const followed = await fetch(turn, {headers: {...headers, "Last-Event-ID": seen}});
  tell({kind: "followed", status: followed.status});
  if (followed.status !== 200) break;
  await read("told", followed);
  seen = "end";
}
tell({kind: "over"});
"""


def hear(heard: "SimpleQueue[Any]", kind: str, event: str | None = None) -> list[dict[str, Any]]:
    """Return the page's reports up to this one."""
    told: list[dict[str, Any]] = []
    while not told or (told[-1]["kind"], told[-1].get("event")) != (kind, event):
        told.append(heard.get(timeout=DEADLINE_S))
        assert "failed" not in told[-1], told
    return told


def test_a_page_of_another_origin_watches_a_turn_piece_by_piece(
    tenant: Tenant, session_id: str, provider: FakeProvider, tmp_path: Path
) -> None:
    found = browser.find()
    if found is None:
        pytest.skip(f"There is no browser on this machine: none of {', '.join(browser.NAMES)} is on the path.")
    provider.add(moods.streamed(said("Hello, "), said("page."), STOP, COUNTED, DONE, stepped=True))
    token = tenant.http.headers["authorization"].removeprefix("Bearer ")
    given = {"api": str(tenant.http.base_url), "token": token, "session": session_id, "seen": Progress().as_id()}
    with browser.opened(found, f"const given = {json.dumps(given)};{SCRIPT}", tmp_path) as heard:
        started = hear(heard, "posted", "reply.started")
        # The provider waits for these steps, so the page has each piece before the next one exists.
        provider.step()
        first = hear(heard, "posted", "reply.delta")
        provider.step()
        second = hear(heard, "posted", "reply.delta")
        provider.step(3)
        ended = hear(heard, "posted", "turn.ended")
        followed = hear(heard, "over")
    (answer, *events), turn = [*started, *first, *second, *ended], json.loads(ended[-1]["data"])
    assert (answer["status"], answer["type"]) == (200, "text/event-stream")
    assert answer["location"].endswith(f"/turns/{turn['id']}")
    assert [each["event"] for each in events] == NAMES
    assert [json.loads(each["data"])["text"] for each in (first[-1], second[-1])] == ["Hello, ", "page."]
    assert turn == tenant.http.get(f"turns/{turn['id']}").json()
    told = [each for each in followed if each["kind"] == "told"]
    # The page has seen the event `turn`. Its last id says that the turn has ended.
    assert [each["event"] for each in told if "event" in each] == [name for name in NAMES[1:] if name != "reply.delta"]
    assert (told[-1]["data"], told[-1]["id"]) == (ended[-1]["data"], ended[-1]["id"])
    assert [each["status"] for each in followed if each["kind"] == "followed"] == [200, 204]


def test_a_page_may_post_a_watched_turn_and_read_its_answer(tenant: Tenant, session_id: str) -> None:
    address = f"sessions/{session_id}/turns"
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,last-event-id",
    }
    preflight = tenant.http.options(address, headers=PAGE | asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, PAGE["Origin"])
    for message, status in (("@writer hello", 200), (" ", 422)):
        answer = tenant.http.post(address, json={"message": message}, headers=PAGE | EVENTS)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
        assert "Location" in answer.headers["access-control-expose-headers"]
    stranger = tenant.http.post(
        address, json={"message": "@writer hello"}, headers=EVENTS | {"Origin": "http://a.example"}
    )
    assert stranger.status_code == 200
    assert "access-control-allow-origin" not in stranger.headers
