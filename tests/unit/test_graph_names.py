"""Tests the names of a deployment's graphs and the mode `graph:<name>`."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.errors import ConfigurationError, UnknownGraph
from shared.graph_names import check_graph, graph_names, graph_of, is_graph, parse_graphs
from shared.names import Env
from shared.roster.fields import MODES, Mode

MODE = TypeAdapter(Mode)


def test_graphs_are_read_by_name() -> None:
    read = parse_graphs("tools=my.graphs.tools:graph, review-2=reviews:_built,")
    assert read == {"tools": "my.graphs.tools:graph", "review-2": "reviews:_built"}
    assert parse_graphs("") == {}


@pytest.mark.parametrize(
    "entry",
    [
        "tools",
        "tools=",
        "tools=module",
        "Tools=module:graph",
        "a" * 33 + "=m:g",
        "t=m:g:h",
        "t=m-x:g",
        "t=m:g()",
        "=m:g",
    ],
)
def test_a_graph_of_another_form_is_refused_in_one_line(entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^PANTHEON_GRAPHS: '[^\n]*' is not of the form [^\n]*$") as caught:
        parse_graphs(f"good=m:g,{entry}")
    assert f"'{entry}'" in caught.value.detail


def test_a_name_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^PANTHEON_GRAPHS: the name 'tools' is given twice\.$"):
        parse_graphs("tools=a:b,tools=c:d")


def test_check_refuses_a_graph_that_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.GRAPHS, "tools=a:b")
    assert graph_names() == {"tools": "a:b"}
    for mode in (None, "tag", "graph:tools"):
        check_graph(mode)
    with pytest.raises(UnknownGraph, match="'review'"):
        check_graph("graph:review")
    monkeypatch.delenv(Env.GRAPHS)
    with pytest.raises(UnknownGraph, match="'tools'"):
        check_graph("graph:tools")


def test_the_mode_of_a_graph_begins_with_its_word() -> None:
    assert [is_graph(mode) for mode in ("graph:tools", "tag", "graph", "call")] == [True, False, False, False]
    assert graph_of("graph:tools") == "tools"


@pytest.mark.parametrize("mode", [*MODES, "graph:tools", "graph:a_b-2"])
def test_mode_is_accepted_when_it_is_ours_or_a_graphs(mode: str) -> None:
    assert MODE.validate_python(mode) == mode


@pytest.mark.parametrize("mode", ["call", "graph", "graph:", "graph:Tools", "graph:a b", "graph:tools\n", "Tag", ""])
def test_unknown_mode_is_refused(mode: str) -> None:
    with pytest.raises(ValidationError, match="Input should be 'manual', 'tag'"):
        MODE.validate_python(mode)
