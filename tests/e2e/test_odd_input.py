"""Tests odd but valid input up to its exact limits: it is answered or refused, and never with a 5xx."""

import json
from typing import Any

import httpx
import pytest

from tests.support.stack.operations import OPERATIONS
from tests.support.stack.tenant import Tenant

# A message has room for this number of tags of one letter.
SYLLABLES = [chr(number) for number in range(0xAC00, 0xAC00 + 10_000)]


class TestMessage:
    def test_message_may_have_32000_characters_of_any_kind(self, tenant: Tenant, session_id: str) -> None:
        message = "\U0001f5ff" * 32_000
        assert tenant.take(session_id, message)["message"] == message

    @pytest.mark.parametrize(
        "message", ["x" * 32_001, "", " \n\t\u3000", "a\x00b", "a\ud83db"], ids=lambda text: ascii(text)[:12]
    )
    def test_message_that_is_longer_or_empty_or_cannot_be_stored_is_invalid(
        self, tenant: Tenant, session_id: str, message: str
    ) -> None:
        body = json.dumps({"message": message})
        headers = {"Content-Type": "application/json"}
        refused = tenant.http.post(f"sessions/{session_id}/turns", content=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_message")
        assert tenant.requests == []

    def test_message_keeps_its_invisible_characters(self, tenant: Tenant, session_id: str) -> None:
        message = "\x01\x7f\r\n\u202eright to left\u202c\ufeff\ufffe\U0010ffff end"
        turn = tenant.take(session_id, message)
        assert turn["message"] == message
        assert tenant.requests[0].messages[-1]["content"] == message

    def test_invalid_utf8_in_a_message_is_replaced(self, tenant: Tenant, session_id: str) -> None:
        """API Gateway passes bodies on as text."""
        headers = {"Content-Type": "application/json"}
        body = b'{"message": "a\xff\xfe"}'
        answer = tenant.http.post(f"sessions/{session_id}/turns", content=body, headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (201, "a\ufffd\ufffd")

    def test_ten_thousand_tags_of_one_agent_ask_it_once(self, tenant: Tenant, session_id: str) -> None:
        tenant.make_agents("a")
        tenant.http.patch(f"sessions/{session_id}", json={"agent_keys": ["critic", "a"]})
        turn = tenant.take(session_id, "@a " * 10_000)
        assert turn["plan"] == {"selected_agent_keys": ["a"], "source": "tags", "unknown_tags": []}
        assert [reply["agent_key"] for reply in turn["replies"]] == ["a"]

    def test_ten_thousand_unknown_tags_are_all_reported(self, tenant: Tenant, session_id: str) -> None:
        turn = tenant.take(session_id, " ".join(f"@{syllable}" for syllable in SYLLABLES))
        assert turn["plan"] == {"selected_agent_keys": ["writer"], "source": "default", "unknown_tags": SYLLABLES}


class TestBody:
    def test_json_in_another_spelling_is_taken_or_refused(self, tenant: Tenant, session_id: str) -> None:
        bodies = [
            b'{"message": "one", "message": "two"}',
            b'  {"message"\n:\t"hello"}\r\n',
            b'{"message": "hello", "mode": null, "agent_keys": null}',
            *('{"message": "hello"}'.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32", "utf-7")),
        ]
        for kind in ("application/json", "application/json; charset=latin-1", "application/x+json"):
            for body in bodies:
                headers = {"Content-Type": kind}
                answer = tenant.http.post(f"sessions/{session_id}/turns", content=body, headers=headers)
                assert answer.status_code in (201, 400), (kind, body, answer.text)

    def test_body_is_ignored_where_none_is_expected(
        self, tenant: Tenant, everybody: httpx.Client, session_id: str
    ) -> None:
        turn_id = tenant.take(session_id, "hello")["id"]
        tenant.make_council("panel", "writer")
        places = {"key": "writer", "council_key": "panel", "session_id": session_id, "turn_id": turn_id}
        places["tenant_id"] = tenant.id
        for operation in OPERATIONS:
            if operation.method == "GET":
                address = operation.path.format_map(places)
                for body in (b"{", b"\xff\xfe", b'{"limit": -1}'):
                    headers = {"Content-Type": "application/json"}
                    assert everybody.request("GET", address, content=body, headers=headers).status_code == 200


class TestHeaders:
    @pytest.mark.parametrize(
        "key",
        [b"x" * 255, "k\u00e9y \U0001f5ff".encode(), b"\xff\xfe", b"a,b", b"null", b'"quoted"'],
        ids=ascii,
    )
    def test_key_may_be_any_word_and_returns_its_turn(self, tenant: Tenant, session_id: str, key: bytes) -> None:
        answers = [post_with(tenant, session_id, [(b"Idempotency-Key", key)]) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].content == answers[1].content

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"Prefer", b"\xff, wait=1e400;=;")],
            [(b"Prefer", b"respond-sync"), (b"Prefer", b"wait=1")],
            [(b"Idempotency-Key", b"one"), (b"Idempotency-Key", b"two")],
            [(b"Cookie", b"\xff=\xff; ;;="), (b"Cookie", b"x")],
            [(b"X-Amzn-Trace-Id", b"Root=\xff")],
            [(b"Accept", b"\xff"), (b"Accept-Encoding", b"x" * 4_000)],
        ],
        ids=ascii,
    )
    def test_unknown_header_is_ignored(
        self, tenant: Tenant, session_id: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        assert post_with(tenant, session_id, headers).status_code == 201


def post_with(tenant: Tenant, session_id: str, headers: list[tuple[bytes, bytes]]) -> httpx.Response:
    return tenant.http.post(f"sessions/{session_id}/turns", json={"message": "hello"}, headers=headers)


class TestAddress:
    @pytest.mark.parametrize("spelling", ["{0}", "%7B{0}%7D", "urn:uuid:{0}"])
    def test_an_id_in_another_spelling_is_found_or_is_404(self, tenant: Tenant, session_id: str, spelling: str) -> None:
        for id_ in (session_id.upper(), session_id.replace("-", ""), session_id):
            assert tenant.http.get(f"sessions/{spelling.format(id_)}").status_code in (200, 404)

    @pytest.mark.parametrize(
        "query", ["limit=5&limit=x", "limit=%2B5", "limit= 5", "limit=5.0", "limit=05", "LIMIT=x", "&&=&limit", "x=%ZZ"]
    )
    def test_an_odd_query_is_taken_or_refused(self, tenant: Tenant, query: str) -> None:
        assert tenant.http.get(f"agents?{query}").status_code in (200, 422)

    @pytest.mark.parametrize("query", [{"wait": "1e-400"}, {"after": "9" * 40}, {"wait": "0", "after": "0" * 500}])
    def test_an_odd_wait_is_taken_or_refused(self, tenant: Tenant, session_id: str, query: dict[str, Any]) -> None:
        turn = tenant.take(session_id, "hello")
        assert tenant.http.get(f"turns/{turn['id']}", params=query).status_code in (200, 422)
