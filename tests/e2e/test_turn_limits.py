"""Tests the deployment's limits over HTTP, on a stack of its own: 429 with Retry-After, and turns that end at a cap."""

from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider
from tests.support.stack.tenant import agent, open_client, with_provider


@pytest.fixture(scope="module")
def limited(everybodys_provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"turns_per_minute": 2, "turn_max_calls": 1, "turn_max_tokens": 8_000}
    with Stack.start(with_provider(everybodys_provider, tmp_path_factory.mktemp("limited"), **limits)) as stack:
        yield stack


@pytest.fixture
def client(limited: Stack, provider: FakeProvider, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A user of a new tenant with two agents."""
    with open_client(limited.url, limited.token(tenant=request.node.name)) as http:
        for key in ("writer", "critic"):
            assert http.post("agents", json=agent(key)).status_code == 201
        yield http


def post(client: httpx.Client, message: str, **headers: str) -> httpx.Response:
    """Post a turn to a new session."""
    session = client.post("sessions", json={"mode": "tag", "agent_keys": ["writer", "critic"]}).json()
    return client.post(f"sessions/{session['id']}/turns", json={"message": message}, headers=headers)


def test_turn_beyond_the_rate_is_429_with_retry_after(client: httpx.Client, provider: FakeProvider) -> None:
    assert [post(client, "hello").status_code for _ in range(2)] == [201, 201]
    before = len(provider.rows)
    for headers in ({}, {"Prefer": "respond-async"}):
        refused = post(client, "hello", **headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert len(provider.rows) == before


def test_agents_beyond_the_turns_cap_are_skipped_and_the_answer_is_kept(client: httpx.Client) -> None:
    turn = post(client, "@writer @critic hello").json()
    assert [(reply["status"], reply["error"] and reply["error"]["code"]) for reply in turn["replies"]] == [
        ("completed", None),
        ("skipped", "turn_limit_exceeded"),
    ]
    assert turn["status"] == "completed"


def test_message_beyond_the_turns_cap_is_refused(client: httpx.Client, provider: FakeProvider) -> None:
    before = len(provider.rows)
    refused = post(client, "@writer " + "a" * 31_000)
    assert (refused.status_code, refused.json()["code"]) == (422, "turn_limit_exceeded")
    assert len(provider.rows) == before
