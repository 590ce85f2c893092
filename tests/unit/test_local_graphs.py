"""Tests how the local stack finds an interpreter for graphs, and the line for each failure."""

import sys
from pathlib import Path

import pytest

from local import graphs
from local.graphs import GraphsError
from shared.catalog import build
from shared.names import Env
from shared.settings import CatalogSettings

CATALOG = build(CatalogSettings.model_validate({Env.LLM_PROVIDER: "scripted"}))
GIVEN = {"PATH": "/usr/bin:/bin", Env.GRAPHS.value: "one=here:graph", "SECRET": "canary"}


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the interpreter of `make graphs-setup`, where no file exists yet."""
    monkeypatch.setattr(graphs, "find_spec", lambda _: None)
    monkeypatch.setattr(graphs, "PYTHON", tmp_path / "python")
    return tmp_path / "python"


def program(python: Path, *lines: str) -> None:
    python.write_text("\n".join(("#!/bin/sh", *lines, "")))
    python.chmod(0o700)


def test_graphs_are_refused_in_one_line_when_langgraph_is_not_installed(python: Path) -> None:
    with pytest.raises(GraphsError, match=r"^PANTHEON_GRAPHS needs LangGraph: run `make graphs-setup`\.$"):
        graphs.check(GIVEN, CATALOG)


def test_the_function_runs_with_this_interpreter_when_it_has_langgraph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "find_spec", lambda _: object())
    assert graphs._python() == Path(sys.executable)


def test_function_runs_with_the_interpreter_of_the_setup_and_gets_only_its_settings(python: Path) -> None:
    program(python, 'test -z "$SECRET" && test "$PANTHEON_GRAPHS" = "one=here:graph"')
    function = graphs.check(GIVEN, CATALOG)
    assert (function.name, function.python) == ("graphs", python)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("echo Traceback >&2; echo 'PANTHEON_GRAPHS: one: no module.' >&2", "PANTHEON_GRAPHS: one: no module."),
        ("echo 'Killed' >&2", "PANTHEON_GRAPHS: Killed"),
        ("true", "PANTHEON_GRAPHS: importing the graphs ends with 1"),
    ],
)
def test_graphs_that_cannot_be_imported_are_one_line_that_names_the_setting(python: Path, said: str, told: str) -> None:
    program(python, said, "exit 1")
    with pytest.raises(GraphsError) as refused:
        graphs.check(GIVEN, CATALOG)
    assert str(refused.value) == told
