"""Tests `/mcp` with the client of the `mcp` package, in its own environment: `make build/clients/mcp/ok` makes it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.chat_client import make_council
from tests.support.stack.mcp_client import address, said
from tests.support.stack.tenant import Tenant

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build/clients/mcp/bin/python"
PROGRAM = ROOT / "tests/clients/programs/mcp_client.py"
# The first asks for version 2026-07-28, the second calls `initialize`.
MODES = {"auto": "2026-07-28", "legacy": "2025-11-25"}


def speak(tenant: Tenant, mode: str, *calls: dict[str, Any]) -> dict[str, Any]:
    """Run the client and return its results."""
    token = tenant.http.headers["authorization"].removeprefix("Bearer ")
    asked = {"url": address(tenant), "token": token, "mode": mode, "calls": calls}
    ran = subprocess.run([PYTHON, PROGRAM], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    got: dict[str, Any] = json.loads(ran.stdout)
    return got


@pytest.mark.parametrize("mode", MODES)
def test_client_lists_asks_goes_on_and_hears_progress(tenant: Tenant, provider: FakeProvider, mode: str) -> None:
    tenant.make_agents("writer", "critic")
    make_council(tenant, "board", "tag", "writer", "critic")
    provider.add(moods.slow(1))
    got = speak(
        tenant,
        mode,
        {"name": "list_councils"},
        {
            "name": "ask_council",
            "arguments": {"council_or_agent": "board", "message": "@writer @critic hello"},
            "progress": True,
        },
        {"name": "ask_council", "arguments": {"council_or_agent": "nobody", "message": "hello"}},
    )
    assert (got["version"], got["tools"]) == (MODES[mode], ["list_councils", "ask_council"])
    listed, asked, refused = got["results"]
    assert [each["key"] for each in listed["structuredContent"]["councils"]] == ["board", "critic", "writer"]
    turn = tenant.http.get(f"turns/{asked['structuredContent']['id']}").json()
    assert asked["structuredContent"] == turn
    assert said(asked).startswith("**Writer:** You said: ")
    assert "Writer answers. 0 of 2 replies are ready." in [note["message"] for note in asked["notes"]]
    assert refused["isError"] is True
    assert said(refused).startswith("unknown_model: ")


@pytest.mark.parametrize("mode", MODES)
def test_client_takes_an_answer_that_is_as_long_as_answers_get(
    tenant: Tenant, provider: FakeProvider, mode: str
) -> None:
    tenant.make_agents("writer")
    provider.add(moods.ok("ü" * 200_000))
    call = {"name": "ask_council", "arguments": {"council_or_agent": "writer", "message": "hello"}, "progress": True}
    (result,) = speak(tenant, mode, call)["results"]
    assert said(result).startswith("ü" * 40_000)
    assert f"GET /api/v1/turns/{result['structuredContent']['id']} has all of it." in said(result)
