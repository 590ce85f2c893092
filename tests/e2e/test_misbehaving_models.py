"""Tests a council of two providers of which one misbehaves.

That provider costs nothing twice, gets a bounded number of requests, and learns nothing of the other one.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from local.stack import Stack
from shared.db.engine import Row
from tests.support.council_room import broken_invariants
from tests.support.fake_provider import FakeProvider, Mood, Received, moods
from tests.support.stack.tenant import agent, environ, open_client
from tests.support.stack.two_providers import CATALOG, KEYS

MESSAGE = "Tell nobody that the treasure lies under the old lighthouse."
MAX_CALL_S = 2
SPARED = """
[aliases.spared]
provider = "north"
model_id = "aurora"
context_window = 8192
max_output_tokens = 512
rates = {{ input = "1", output = "2", cache_read = "0", cache_write = "1" }}
fallback_alias = "deep"
"""


@dataclass(frozen=True)
class Council:
    """`owner` sees every row of the database."""

    stack: Stack
    north: FakeProvider
    south: FakeProvider
    owner: psycopg.Connection[Row]

    def logs(self) -> str:
        return "".join(file.read_text() for file in self.stack.log_dir.glob("*.log"))


@pytest.fixture(scope="module")
def council(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Council]:
    folder = tmp_path_factory.mktemp("council")
    with FakeProvider() as north, FakeProvider() as south:
        file = folder / "models.toml"
        file.write_text((CATALOG + SPARED).format(north=north.url, south=south.url))
        keys = {f"{name.upper()}_KEY": key for name, key in KEYS.items()}
        variables = environ(folder / "data", catalog=file, max_call_s=MAX_CALL_S, turn_seconds=20) | keys
        with (
            Stack.start(variables) as stack,
            psycopg.connect(stack.owner_url, autocommit=True, row_factory=dict_row) as owner,
        ):
            yield Council(stack, north, south, owner)


def refusal(status: int, message: str, headers: Any = None, **members: Any) -> Mood:
    document = {"error": {"message": message, **members}}
    return Mood(status=status, headers=headers or {}, body=json.dumps(document).encode())


def lying(**usage: object) -> Mood:
    return moods.ok("fine", usage={"prompt_tokens": 9, "completion_tokens": 4, **usage})


def answering(body: bytes, **headers: str) -> Mood:
    return Mood(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


UNKNOWN, FREE, WASTED, PAID = "unknown", "unbilled", "platform", "tenant"
# The constant answer of one provider, the outcomes of its calls, and the reply's error.
CASES: dict[str, tuple[Mood, list[str], str | None]] = {
    "an answer that never ends": (moods.trickle_body(), [UNKNOWN] * 2, "timeout"),
    "headers that never end": (moods.trickle_headers(), [UNKNOWN] * 2, "timeout"),
    "half of a JSON": (answering(b'{"choices": [{"message": {"con'), [UNKNOWN] * 2, "malformed_response"),
    "an answer beside an error": (
        moods.raw({"choices": [{"message": {"content": "Half"}}], "error": {"code": 429, "message": "Slow down"}}),
        [UNKNOWN] * 2,
        "provider_error",
    ),
    "a negative count": (lying(prompt_tokens=-9), [UNKNOWN] * 2, "malformed_response"),
    "a huge count": (lying(prompt_tokens=10**9), [UNKNOWN] * 2, "malformed_response"),
    "a float": (lying(completion_tokens=4.0), [UNKNOWN] * 2, "malformed_response"),
    "a text": (lying(prompt_tokens="12"), [UNKNOWN] * 2, "malformed_response"),
    "a truth value": (lying(completion_tokens=True), [UNKNOWN] * 2, "malformed_response"),
    "a count in a strange place": (
        moods.raw({"choices": [{"message": {"content": "x"}, "usage": {"prompt_tokens": 9, "completion_tokens": 4}}]}),
        [UNKNOWN] * 2,
        "malformed_response",
    ),
    "20 MB": (moods.huge(20_000_000), [UNKNOWN] * 2, "malformed_response"),
    "a bomb": (
        answering(gzip.compress(b"a" * 50_000_000), Content_Encoding="gzip"),
        [UNKNOWN] * 2,
        "malformed_response",
    ),
    "a deep JSON": (answering(b"[" * 1_000_000), [UNKNOWN] * 2, "malformed_response"),
    "a key in a refusal": (refusal(401, f"Wrong key {KEYS['north']}"), [FREE], "provider_unauthorized"),
    "a prompt in a refusal": (refusal(400, f"Bad message: {MESSAGE}"), [FREE], "refused"),
    "a wait of years": (moods.status(429, retry_after="1000000000"), [FREE], "throttled"),
    "a wait below zero": (moods.status(429, retry_after="-1000000000"), [FREE] * 2, "throttled"),
    "a wait until the past": (moods.status(429, retry_after="Sun, 06 Nov 1994 08:49:37 GMT"), [FREE] * 2, "throttled"),
    "a wait until the far future": (
        moods.status(429, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"),
        [FREE],
        "throttled",
    ),
    "a window of one": (moods.too_long("The maximum context length is 1 token."), [FREE] * 2, "context_overflow"),
    "a vast window": (moods.too_long(f"The maximum context length is {10**12}."), [FREE] * 2, "context_overflow"),
    "thinking without an end": (
        moods.ok("<think>" + "hm " * 80_000, usage={"prompt_tokens": 9, "completion_tokens": 512}),
        [WASTED],
        "thinking_only",
    ),
    "blanks": (Mood({"role": "assistant", "content": " \n\t "}), [WASTED] * 2, "empty_reply"),
    "marks that nobody sees": (
        moods.ok("\ufeff\u200b\u2060\u00a0", usage={"prompt_tokens": 9, "completion_tokens": 4}),
        [WASTED] * 2,
        "empty_reply",
    ),
    "a call of a tool": (
        Mood({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, finish_reason="tool_calls"),
        [WASTED] * 2,
        "empty_reply",
    ),
    "no choice": (
        moods.raw({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}),
        [WASTED] * 2,
        "empty_reply",
    ),
    "a nonsense word for the end": (Mood(finish_reason="\x00🦆" * 200), [PAID], None),
}


def outcomes(council: Council, turn: dict[str, Any], provider: str) -> list[str]:
    query = b"""SELECT c.status, l.account FROM llm_calls c LEFT JOIN usage_ledger l USING (call_id)
        WHERE c.turn_id = %s AND c.provider = %s ORDER BY c.step, c.attempt"""
    rows = council.owner.execute(query, [turn["id"], provider]).fetchall()
    return [row["account"] if row["status"] == "succeeded" else row["status"] for row in rows]


def take(council: Council, north_alias: str = "fast", **changes: object) -> tuple[dict[str, Any], int, int]:
    """Take a roundtable of one agent for each provider. Returns the turn and the providers' requests."""
    before = len(council.north.rows), len(council.south.rows)
    with open_client(council.stack.url, council.stack.token(f"tenant-{uuid4()}", "ada")) as http:
        for key, alias in (("ann", north_alias), ("bob", "deep")):
            assert http.post("agents", json=agent(key, model_alias=alias, **changes)).status_code == 201
        made = http.post("sessions", json={"mode": "roundtable", "agent_keys": ["ann", "bob"]}).json()
        posted: httpx.Response = http.post(f"sessions/{made['id']}/turns", json={"message": MESSAGE})
        assert posted.status_code == 201, posted.text
    return posted.json(), len(council.north.rows) - before[0], len(council.south.rows) - before[1]


def assert_apart(council: Council) -> None:
    """Check that each provider saw only its own model and key, that no secret was logged, and that the ledger
    is right.
    """
    for provider, name, model in ((council.north, "north", "aurora"), (council.south, "south", "penguin")):
        assert {(row.model, row.authorization) for row in provider.rows} <= {(model, f"Bearer {KEYS[name]}")}
    asked = {row.client_request_id for row in council.north.rows + council.south.rows}
    journal = {str(row["call_id"]) for row in council.owner.execute(b"SELECT call_id FROM llm_calls").fetchall()}
    assert asked <= journal
    assert broken_invariants(council.owner) == {}
    logs = council.logs()
    assert "Call " in logs
    assert [secret for secret in (*KEYS.values(), "treasure") if secret in logs] == []


@pytest.mark.parametrize("case", CASES)
def test_misbehaving_provider_fails_only_its_own_reply(council: Council, case: str) -> None:
    mood, expected, error = CASES[case]
    council.north.clear()
    council.north.add(mood, times=None)
    turn, to_north, to_south = take(council)
    ann, bob = turn["replies"]
    assert (ann["error"] or {}).get("code") == error
    assert (bob["status"], turn["status"]) == ("completed", "completed")
    assert outcomes(council, turn, "north") == expected
    assert outcomes(council, turn, "south") == [PAID]
    assert (to_north, to_south) == (len(expected), 1)
    assert_apart(council)


def test_a_redirect_to_another_provider_is_not_followed(council: Council) -> None:
    council.north.clear()
    location = {"Location": f"{council.south.url}/chat/completions"}
    council.north.add(Mood(status=307, headers=location), times=None)
    turn, to_north, to_south = take(council)
    assert turn["replies"][0]["error"]["code"] == "refused"
    assert (to_north, to_south) == (1, 1)
    assert_apart(council)


def test_parameters_refused_in_a_circle_cause_a_bounded_number_of_calls(council: Council) -> None:
    council.north.clear()

    def refused(received: Received) -> Mood:
        parameters = sorted(set(received.body) - {"model", "messages"})
        return refusal(400, "Unsupported parameter.", param=parameters[0], code="unsupported_parameter")

    council.north.answer_with(refused)
    turn, to_north, to_south = take(council, temperature=0.5)
    assert turn["replies"][0]["error"]["code"] == "invalid_parameter"
    assert outcomes(council, turn, "north") == [FREE] * to_north
    assert (to_north <= 6, to_south) == (True, 1)
    assert_apart(council)


@pytest.mark.parametrize("case", ["a key in a refusal", "half of a JSON", "a window of one"])
def test_a_fallback_alias_of_another_provider_is_asked_with_its_own_key(council: Council, case: str) -> None:
    mood, expected, _ = CASES[case]
    council.north.clear()
    council.north.add(mood, times=None)
    turn, to_north, to_south = take(council, "spared")
    assert [reply["model_alias"] for reply in turn["replies"]] == ["deep", "deep"]
    assert outcomes(council, turn, "north") == expected
    assert (to_north, to_south) == (len(expected), 2)
    assert_apart(council)
