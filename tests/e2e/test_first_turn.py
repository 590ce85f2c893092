"""Tests a council's turn over HTTP: the agents, their order, their prompts, and the replay."""

from typing import Any

import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.quoted import council
from tests.support.stack.tenant import Tenant


def echo(text: str) -> str:
    """Return the provider's usual answer to a question that ends in `text`."""
    return f"You said: {text}"


def spoken(turn: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(reply["agent_key"], reply["text"]) for reply in turn["replies"]]


class TestOrder:
    def test_agents_answer_in_the_order_of_their_tags_and_hear_earlier_replies(
        self, tenant: Tenant, session_id: str
    ) -> None:
        turn = tenant.take(session_id, "@writer @researcher hello")
        first = echo("@writer @researcher hello")
        second = echo(first)
        assert spoken(turn) == [("writer", first), ("researcher", second)]
        assert turn["output"] == f"Writer: {first}\n\nResearcher: {second}"
        assert turn["plan"] == {
            "selected_agent_keys": ["writer", "researcher"],
            "source": "tags",
            "unknown_tags": [],
        }

    def test_agents_answer_in_reverse_when_their_tags_are_reversed(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "@researcher @writer hello")
        assert [key for key, _ in spoken(turn)] == ["researcher", "writer"]
        assert turn["output"].startswith("Researcher: You said: @researcher")
        assert "\n\nWriter: You said: You said: @researcher" in turn["output"]

    def test_email_address_is_no_tag_and_the_first_agent_answers(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "mail bob@writer.org")
        assert turn["plan"] == {"selected_agent_keys": ["writer"], "source": "default", "unknown_tags": []}
        # The text of a single agent has no name before it.
        assert turn["output"] == echo("mail bob@writer.org")

    def test_the_default_agent_is_the_first_that_is_enabled(self, tenant: Tenant, session_id: str) -> None:
        tenant.http.delete("agents/writer")
        turn = tenant.take(session_id, "hello, @writer and @Nobody")
        assert turn["plan"] == {
            "selected_agent_keys": ["researcher"],
            "source": "default",
            "unknown_tags": ["writer", "Nobody"],
        }

    def test_roundtable_asks_every_agent(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "@critic alone?", mode="roundtable")
        assert [key for key, _ in spoken(turn)] == ["writer", "researcher", "critic"]
        assert turn["plan"]["source"] == "roster"

    def test_a_request_in_mode_manual_names_its_agents(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "@writer?", mode="manual", agent_keys=["critic", "researcher"])
        assert [key for key, _ in spoken(turn)] == ["critic", "researcher"]
        assert turn["plan"]["source"] == "request"


class TestContext:
    def test_the_next_turn_hears_the_turns_before_it(self, tenant: Tenant, session_id: str) -> None:
        tenant.take(session_id, "@critic one")
        tenant.take(session_id, "@writer two")
        assert [(m["role"], m["content"]) for m in tenant.requests[1].messages] == [
            ("system", f"{council('Writer')}\n\nYou do what a writer does."),
            (
                "user",
                "<quoted user>\n@critic one\n</quoted>\n\n"
                '<quoted agent="Critic">\nYou said: @critic one\n</quoted>\n\n'
                "<quoted user>\n@writer two\n</quoted>",
            ),
        ]

    def test_a_turn_is_answered_with_the_version_that_an_agent_has_now(self, tenant: Tenant, session_id: str) -> None:
        changed = {"name": "Author", "role_prompt": "You write.", "model_alias": "deep"}
        tenant.http.put("agents/writer", json=changed)
        (reply,) = tenant.take(session_id, "@author hello")["replies"]
        assert (reply["agent_version"], reply["name"], reply["model_alias"]) == (2, "Author", "deep")
        assert [request.model for request in tenant.requests] == ["gpt-5"]


class TestHistory:
    def test_an_ended_turn_is_read_as_it_was_answered_byte_for_byte(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.ok('“Ünïcode” \U0001f5ff \\ "quoted" \u2028'))
        posted = tenant.post(session_id, "@writer hello")
        turn = posted.json()
        read = tenant.http.get(f"turns/{turn['id']}")
        assert read.content == posted.content
        assert posted.headers["Location"] == f"/api/v1/turns/{turn['id']}"
        listed = tenant.http.get(f"sessions/{session_id}/turns")
        assert listed.content == b'{"items":[' + posted.content + b'],"next_cursor":null}'

    def test_the_turns_of_a_session_are_numbered(self, tenant: Tenant, session_id: str) -> None:
        assert [tenant.take(session_id, "hello")["turn_index"] for _ in range(3)] == [1, 2, 3]


class TestIdempotencyKey:
    def test_same_request_gets_the_same_bytes_without_a_call(self, tenant: Tenant, session_id: str) -> None:
        first = tenant.post(session_id, "@writer @critic hello", key="once")
        replays = [tenant.post(session_id, "@writer @critic hello", key="once") for _ in range(2)]
        assert first.status_code == 201
        assert "Idempotency-Replayed" not in first.headers
        assert [(replay.status_code, replay.content) for replay in replays] == [(201, first.content)] * 2
        assert [replay.headers["Idempotency-Replayed"] for replay in replays] == ["true"] * 2
        assert len(tenant.requests) == 2

    def test_a_failed_turn_is_replayed_too(self, tenant: Tenant, session_id: str, provider: FakeProvider) -> None:
        provider.add(moods.status(400))
        first = tenant.post(session_id, "hello", key="once")
        assert (first.status_code, first.json()["status"]) == (201, "failed")
        assert tenant.post(session_id, "hello", key="once").content == first.content
        assert len(tenant.requests) == 1

    @pytest.mark.parametrize(
        "other", [{"message": "bye"}, {"mode": "roundtable"}, {"mode": "manual", "agent_keys": ["writer"]}], ids=str
    )
    def test_key_is_refused_with_another_body(self, tenant: Tenant, session_id: str, other: dict[str, Any]) -> None:
        tenant.post(session_id, "hello", key="once")
        reused = tenant.post(session_id, key="once", **{"message": "hello", **other})
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
        assert len(tenant.requests) == 1

    def test_key_is_refused_in_another_session(self, tenant: Tenant, session_id: str) -> None:
        tenant.post(session_id, "hello", key="once")
        reused = tenant.post(tenant.make_session("writer"), "hello", key="once")
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")

    def test_a_refused_turn_does_not_use_its_key_up(self, tenant: Tenant, session_id: str) -> None:
        for key in ("writer", "researcher", "critic"):
            tenant.http.delete(f"agents/{key}")
        refused = tenant.post(session_id, "hello", key="once")
        assert (refused.status_code, refused.json()["code"]) == (422, "no_agent")
        tenant.make_agents("critic")
        assert tenant.post(session_id, "hello", key="once").status_code == 201
