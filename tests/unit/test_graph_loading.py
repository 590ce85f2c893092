"""Tests that graphs are imported when their process starts, and that each mistake is one line."""

import sys
from pathlib import Path
from types import MappingProxyType

import pytest

pytest.importorskip("langgraph", reason="the extra `graphs` is not installed")


from functions.graphs import loading
from shared.errors import ConfigurationError
from shared.names import Env

MODULE = """
from typing import Annotated, TypedDict
from langgraph.channels import DeltaChannel
from langgraph.graph import START, MessagesState, StateGraph

class Other(TypedDict):
    words: list[str]

class Growing(MessagesState):
    log: Annotated[list, DeltaChannel(lambda old, new: old + new[0], list)]

def build(state):
    return StateGraph(state).add_node("one", lambda found: {}).add_edge(START, "one")

graph = build(MessagesState).compile()
uncompiled = build(MessagesState)
other = build(Other).compile()
growing = build(Growing).compile()
number = 7
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "graphs_of_a_user.py").write_text(MODULE)
    (tmp_path / "broken_graphs.py").write_text("raise RuntimeError('two\\nlines')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "graphs_of_a_user", raising=False)


def test_a_graph_is_loaded_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(Env.GRAPHS, "mine=graphs_of_a_user:graph")
    loaded = loading.load_graphs(None)  # type: ignore[arg-type]
    assert list(loaded) == ["mine"]
    assert isinstance(loaded, MappingProxyType)
    assert (loading.main(), capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("no_module_here:graph", "cannot be imported: ModuleNotFoundError: No module named 'no_module_here'"),
        ("broken_graphs:graph", "cannot be imported: RuntimeError: two lines"),
        ("graphs_of_a_user:none", "cannot be imported: AttributeError: module 'graphs_of_a_user' has no attribute"),
        ("graphs_of_a_user:number", "is not a compiled graph"),
        ("graphs_of_a_user:uncompiled", "is not a compiled graph"),
        ("graphs_of_a_user:growing", "has a DeltaChannel 'log' in its state"),
        ("graphs_of_a_user:other", "has no 'messages' in its state"),
    ],
)
def test_a_graph_that_cannot_run_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    monkeypatch.setenv(Env.GRAPHS, f"mine={place}")
    with pytest.raises(ConfigurationError):
        loading.load_graphs(None)  # type: ignore[arg-type]
    assert loading.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"PANTHEON_GRAPHS: mine={place} {said}")
