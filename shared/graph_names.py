"""The names of the graphs that this deployment runs in mode `graph:<name>`. This module does not import LangGraph."""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from shared.errors import ConfigurationError, UnknownGraph
from shared.names import Env
from shared.settings import graph_settings

PREFIX: Final = "graph:"
NAME: Final = r"[a-z][a-z0-9_-]{0,31}"
MODE_PATTERN: Final = f"^{PREFIX}{NAME}$"
_PLACE: Final = re.compile(rf"({NAME})=([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)", re.ASCII)


def is_graph(mode: str) -> bool:
    """Return whether the mode is a graph's, configured or not."""
    return mode.startswith(PREFIX)


def graph_of(mode: str) -> str:
    """Return the name of the graph in a mode `graph:<name>`."""
    return mode.removeprefix(PREFIX)


def graph_names() -> Mapping[str, str]:
    """Return `module:attribute` of each configured graph, by name. Raises ConfigurationError."""
    return parse_graphs(graph_settings().graphs)


@cache
def parse_graphs(text: str) -> Mapping[str, str]:
    """Parse `name=module:attribute,...`. Raises ConfigurationError, one line that names the mistake."""
    graphs: dict[str, str] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        found = _PLACE.fullmatch(entry)
        if found is None:
            raise ConfigurationError(f"{Env.GRAPHS}: '{entry[:80]}' is not of the form name=module:attribute.")
        if found[1] in graphs:
            raise ConfigurationError(f"{Env.GRAPHS}: the name '{found[1]}' is given twice.")
        graphs[found[1]] = found[2]
    return MappingProxyType(graphs)


def check_graph(mode: str | None) -> None:
    """Check that a graph's mode is configured. Raises UnknownGraph."""
    if mode is not None and is_graph(mode) and graph_of(mode) not in graph_names():
        raise UnknownGraph(f"This deployment has no graph '{graph_of(mode)}'.")
