"""Tests the fake provider, on whose log other tests rely."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_provider import FakeProvider, Received, moods

WRITER, CRITIC = "You are the Writer.", "You are the Critic."


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def ask(client: httpx.Client, url: str, system: str = WRITER, user: str = "hello") -> httpx.Response:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    headers = {"X-Client-Request-Id": "call-1"}
    return client.post(f"{url}/chat/completions", json={"model": "m", "messages": messages}, headers=headers)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_prompt_gets_the_same_text_and_count(client: httpx.Client) -> None:
    with FakeProvider() as provider:
        first, second = (ask(client, provider.url).json() for _ in range(2))
    assert first["choices"] == second["choices"]
    assert first["choices"][0]["message"]["content"] == "You said: hello"
    assert first["usage"] == second["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def test_a_mood_can_be_for_one_agent_and_for_one_time(client: httpx.Client) -> None:
    with FakeProvider() as provider:
        provider.add(moods.status(500), when="Critic")
        provider.add(moods.status(429), when="Critic", times=None)
        statuses = [ask(client, provider.url, system).status_code for system in (WRITER, CRITIC, WRITER, CRITIC)]
        assert statuses == [row.status for row in provider.rows] == [200, 500, 200, 429]
        provider.clear()
        assert ask(client, provider.url, CRITIC).status_code == 200


def test_a_function_decides_before_the_rules_do(client: httpx.Client) -> None:
    def choose(received: Received) -> moods.Mood | None:
        return moods.ok("chosen") if "choose" in received.text_of("user") else None

    with FakeProvider() as provider:
        provider.add(moods.ok("by rule"), times=None)
        provider.answer_with(choose)
        said = [ask(client, provider.url, user=user).json() for user in ("choose me", "hello")]
    assert [answer["choices"][0]["message"]["content"] for answer in said] == ["chosen", "by rule"]


def test_a_request_is_on_disk_before_it_is_answered(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    with FakeProvider(path) as provider, ThreadPoolExecutor(1) as pool:
        provider.add(moods.hold())
        answer = pool.submit(ask, client, provider.url)
        try:
            provider.wait_for_requests(1)
            assert not answer.done()
            (row,) = lines(path)
        finally:
            provider.release()
        assert answer.result().json()["usage"] == row["usage"]
    assert (row["client_request_id"], row["model"], row["status"]) == ("call-1", "m", 200)
    assert [message["content"] for message in row["messages"]] == [WRITER, "hello"]


@pytest.mark.parametrize("mood", [moods.hold(), moods.trickle_body(), moods.trickle_headers(), moods.slow(60)])
def test_provider_stops_during_an_answer(client: httpx.Client, mood: moods.Mood) -> None:
    with ThreadPoolExecutor(1) as pool:
        with FakeProvider() as provider:
            provider.add(mood)
            answer = pool.submit(ask, client, provider.url)
            provider.wait_for_requests(1)
        with pytest.raises(httpx.TransportError):
            answer.result(10)


def test_provider_in_a_process_gets_its_rules_over_http(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    command = [sys.executable, "-W", "error", "-m", "tests.support.fake_provider", "--log", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            control = url.removesuffix("/v1") + "/control"
            client.post(f"{control}/rules", json={"mood": "status", "code": 429, "retry_after": 3, "when": "Critic"})
            assert ask(client, url).status_code == 200
            assert ask(client, url, CRITIC).headers["Retry-After"] == "3"
            log = client.get(f"{control}/log").json()
            client.post(f"{control}/rules", json={"mood": "length"})
            client.delete(f"{control}/rules")
            assert ask(client, url).json()["choices"][0]["finish_reason"] == "stop"
        finally:
            process.send_signal(signal.SIGTERM)
            complaints = process.communicate(timeout=10)[1]
    assert (process.returncode, complaints) == (0, "")
    assert [row["status"] for row in log] == [200, 429]
    assert lines(path)[:2] == log
