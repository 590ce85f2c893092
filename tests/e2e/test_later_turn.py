"""Tests turns that a client does not wait for, waits for in another request, cancels, or deletes."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant

RESPOND_ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def held_turn(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> Iterator[tuple[str, "Future[httpx.Response]"]]:
    """A turn of Writer and Researcher whose second call is on hold: its id, and the future answer of its client."""
    provider.add(moods.hold(), when="You are Researcher,")
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(tenant.post, session_id, "@writer @researcher hello", key="held")
        tenant.wait_for_requests(2)
        turn = tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)
        yield str(turn["id"]), answer
        provider.release()


class TestRespondAsync:
    def test_the_turn_is_accepted_at_once_and_the_worker_ends_it(self, tenant: Tenant, session_id: str) -> None:
        body = {"message": "@writer @critic hello"}
        accepted = tenant.http.post(f"sessions/{session_id}/turns", json=body, headers=RESPOND_ASYNC)
        assert (accepted.status_code, accepted.json()["status"]) == (202, "accepted")
        assert accepted.json()["replies"] == []
        turn_id = accepted.json()["id"]
        assert accepted.headers["Location"] == f"/api/v1/turns/{turn_id}"
        turn = tenant.wait_for(turn_id)
        assert (turn["status"], [reply["agent_key"] for reply in turn["replies"]]) == (
            "completed",
            ["writer", "critic"],
        )
        assert len(tenant.requests) == 2

    def test_key_answers_202_until_the_turn_has_ended_and_201_after(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold())
        headers = {**RESPOND_ASYNC, "Idempotency-Key": "later"}
        accepted = tenant.http.post(f"sessions/{session_id}/turns", json={"message": "hello"}, headers=headers)
        tenant.wait_for_requests(1)
        running = tenant.post(session_id, "hello", key="later")
        assert (running.status_code, running.json()["status"]) == (202, "running")
        assert "Idempotency-Replayed" not in running.headers
        provider.release()
        tenant.wait_for(accepted.json()["id"])
        ended = tenant.post(session_id, "hello", key="later")
        assert (ended.status_code, ended.headers["Idempotency-Replayed"]) == (201, "true")
        assert ended.json()["id"] == running.json()["id"] == accepted.json()["id"]
        assert len(tenant.requests) == 1


class TestWait:
    def test_an_answer_that_is_waited_for_comes_with_the_turns_end(
        self, tenant: Tenant, held_turn: tuple[str, "Future[httpx.Response]"], provider: FakeProvider
    ) -> None:
        turn_id, posted = held_turn
        with ThreadPoolExecutor() as threads:
            waited = threads.submit(tenant.http.get, f"turns/{turn_id}", params={"wait": 20})
            provider.release()
            assert waited.result().content == posted.result().content

    def test_wait_ends_early_when_more_steps_have_finished_than_the_client_knows(
        self, tenant: Tenant, held_turn: tuple[str, "Future[httpx.Response]"]
    ) -> None:
        turn_id, posted = held_turn
        turn = tenant.http.get(f"turns/{turn_id}", params={"wait": 20, "after": 0}).json()
        assert (turn["status"], turn["steps_finished"]) == ("running", 1)
        assert not posted.done()

    def test_a_running_turn_shows_the_replies_that_are_finished(
        self, tenant: Tenant, session_id: str, held_turn: tuple[str, "Future[httpx.Response]"]
    ) -> None:
        turn = tenant.http.get(f"turns/{held_turn[0]}").json()
        assert [(reply["name"], reply["status"]) for reply in turn["replies"]] == [("Writer", "completed")]
        assert (turn["output"], turn["completed_at"]) == (f"Writer: {turn['replies'][0]['text']}", None)
        assert tenant.http.get(f"sessions/{session_id}/turns").json()["items"] == [turn]


class TestCancel:
    def test_cancelled_turn_starts_no_call_and_keeps_its_answers(
        self, tenant: Tenant, session_id: str, provider: FakeProvider
    ) -> None:
        provider.add(moods.hold(), when="You are Writer,")
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(tenant.post, session_id, "@writer @researcher hello")
            tenant.wait_for_requests(1)
            turn_id = tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)["id"]
            cancelled = tenant.http.post(f"turns/{turn_id}/cancel")
            assert (cancelled.status_code, cancelled.json()["status"]) == (202, "running")
            provider.release()
            posted = answer.result()
        turn = posted.json()
        assert (posted.status_code, turn["status"], turn["error"]) == (201, "cancelled", None)
        writer, researcher = turn["replies"]
        assert (writer["status"], writer["text"]) == ("completed", "You said: @writer @researcher hello")
        assert (researcher["status"], researcher["error"]["code"]) == ("skipped", "cancelled")
        assert turn["cost_usd"] == writer["cost_usd"] != "0"
        assert len(tenant.requests) == 1

    def test_ended_turn_cannot_be_cancelled(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, "hello")
        refused = tenant.http.post(f"turns/{turn['id']}/cancel")
        assert (refused.status_code, refused.json()["code"]) == (409, "turn_ended")


class TestConflict:
    def test_session_has_one_active_turn_and_other_sessions_go_on(
        self, tenant: Tenant, session_id: str, held_turn: tuple[str, "Future[httpx.Response]"]
    ) -> None:
        turn_id, _ = held_turn
        conflict = tenant.post(session_id, "me too", key="second")
        assert (conflict.status_code, conflict.json()["code"]) == (409, "turn_conflict")
        assert conflict.json()["active_turn_id"] == turn_id
        assert int(conflict.headers["Retry-After"]) >= 1
        assert tenant.take(tenant.make_session("critic"), "hello")["status"] == "completed"

    def test_a_conflict_does_not_use_its_key_up(
        self,
        tenant: Tenant,
        session_id: str,
        held_turn: tuple[str, "Future[httpx.Response]"],
        provider: FakeProvider,
    ) -> None:
        assert tenant.post(session_id, "me too", key="second").status_code == 409
        provider.release()
        assert held_turn[1].result().status_code == 201
        assert tenant.post(session_id, "me too", key="second").json()["turn_index"] == 2


class TestDeletedSession:
    def test_deleted_session_is_404_and_its_keys_are_410(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.post(session_id, "@writer my secret", key="once").json()
        assert tenant.http.delete(f"sessions/{session_id}").status_code == 204
        for address in (f"sessions/{session_id}", f"sessions/{session_id}/turns", f"turns/{turn['id']}"):
            assert tenant.http.get(address).status_code == 404
        assert tenant.http.patch(f"sessions/{session_id}", json={}).status_code == 404
        assert tenant.http.delete(f"sessions/{session_id}").status_code == 404
        assert tenant.post(session_id, "hello").status_code == 404
        replayed = tenant.post(session_id, "@writer my secret", key="once")
        assert (replayed.status_code, replayed.json()["code"]) == (410, "session_deleted")
        assert [call["account"] for call in tenant.calls(turn["id"])] == ["tenant"]

    def test_turn_of_a_session_deleted_meanwhile_ends_without_text_and_is_paid(
        self,
        tenant: Tenant,
        session_id: str,
        held_turn: tuple[str, "Future[httpx.Response]"],
        provider: FakeProvider,
    ) -> None:
        turn_id, posted = held_turn
        assert tenant.http.delete(f"sessions/{session_id}").status_code == 204
        provider.release()
        answer = posted.result()
        assert (answer.status_code, answer.json()["code"]) == (410, "session_deleted")
        stored = tenant.row("SELECT status, message, response FROM turns WHERE id = %s", turn_id)
        assert stored == {"status": "completed", "message": "", "response": None}
        assert [row["text"] for row in tenant.rows("SELECT text FROM replies WHERE turn_id = %s", turn_id)] == [
            None,
            None,
        ]
        assert [call["account"] for call in tenant.calls(turn_id)] == ["tenant", "tenant"]
