"""Tests that a stack with a broken graph prints one line and does not start, and that one without state tables
goes on.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider
from tests.support.stack.tenant import PATIENCE_S, Tenant, agent, environ, open_client, with_provider

PANTHEON_RUN = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())", "run"]
MODULE = """
from langgraph.graph import START, StateGraph
from typing import TypedDict

class Other(TypedDict):
    words: list[str]

without_messages = StateGraph(Other).add_node("one", lambda state: state).add_edge(START, "one").compile()
number = 1
"""


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("one=no_such_module:graph", "no_such_module"),
        ("one=graphs_of_the_test:number", "compiled"),
        ("one=graphs_of_the_test:without_messages", "messages"),
    ],
)
def test_stack_prints_one_line_and_does_not_start_with_a_broken_graph(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "graphs_of_the_test.py").write_text(MODULE)
    given = environ(tmp_path / "data", llm_provider="scripted", graphs=place)
    given["PYTHONPATH"] = f"{tmp_path}:{given.get('PYTHONPATH', '')}"
    ended = subprocess.run(PANTHEON_RUN, env=given, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("pantheon: ")
    assert "PANTHEON_GRAPHS" in line
    assert said in line


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[tuple[Stack, FakeProvider]]:
    """A stack whose database has lost the tables of the state."""
    example = "panel=functions.graphs.examples.panel:graph"
    with FakeProvider() as provider, Stack.start(with_provider(provider, tmp_path, graphs=example)) as stack:
        with psycopg.connect(stack.owner_url, autocommit=True) as owner:
            owner.execute("DROP TABLE checkpoints, checkpoint_blobs, checkpoint_writes")
        yield stack, provider


def test_without_its_tables_a_graph_runs_on_memory_with_one_warning_and_health_shows_it(
    forgetful: tuple[Stack, FakeProvider],
) -> None:
    stack, provider = forgetful
    with open_client(stack.url, stack.token(tenant="acme")) as http:
        with psycopg.connect(stack.owner_url, autocommit=True) as owner:
            tenant = Tenant("acme", http, owner, provider, 0)  # type: ignore[arg-type]
            for key in ("researcher", "critic", "writer"):
                assert http.post("agents", json=agent(key)).status_code == 201
            session_id = tenant.make_session("researcher", "critic", "writer", mode="graph:panel")
            for message in ("One?", "Two?"):
                posted = tenant.post(session_id, message)
                assert tenant.wait_for(posted.json()["id"])["status"] == "completed"
        health = httpx.get(f"{stack.url}/api/v1/health")
    assert (health.status_code, health.json()["checks"]["checkpointer"]) == (200, "memory")
    lines = (stack.log_dir / "graphs.log").read_text().splitlines()
    warnings = [line for line in map(_read, lines) if line.get("level") == "WARNING"]
    assert len(warnings) == 1
    assert "memory" in warnings[0]["message"]


def _read(line: str) -> dict[str, str]:
    read: dict[str, str] = json.loads(line) if line.startswith("{") else {}
    return read
