"""Import the configured graphs when the process starts. `python -m functions.graphs.loading` only checks them."""

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType

from langgraph.channels import DeltaChannel
from langgraph.graph.state import CompiledStateGraph

from functions.graphs.checkpoints import Checkpoints
from functions.graphs.executor import Compiled, run_graph
from shared.errors import ConfigurationError
from shared.graph_names import graph_names
from shared.names import Env
from shared.turns.run import Graph


def load_graphs(checkpoints: Checkpoints) -> Mapping[str, Graph]:
    """Return a mode function for each configured graph, by name. Raises ConfigurationError that names the graph."""
    graphs = {name: _load(name, place) for name, place in graph_names().items()}
    return MappingProxyType({name: partial(run_graph, graph, checkpoints) for name, graph in graphs.items()})


def _load(name: str, place: str) -> Compiled:
    module, attribute = place.split(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigurationError(f"{Env.GRAPHS}: {name}={place} cannot be imported: {said}") from error
    if fault := _fault(found):
        raise ConfigurationError(f"{Env.GRAPHS}: {name}={place} {fault}.")
    assert isinstance(found, CompiledStateGraph)
    return found


def _fault(found: object) -> str | None:
    """Return why this cannot run as a graph, or None."""
    if not isinstance(found, CompiledStateGraph):
        return "is not a compiled graph (call its builder's compile())"
    if "messages" not in found.channels or "messages" not in found.get_input_jsonschema().get("properties", {}):
        return "has no 'messages' in its state"
    # A DeltaChannel is made of many checkpoints, and a session keeps one.
    deltas = [name for name, channel in found.channels.items() if isinstance(channel, DeltaChannel)]
    return f"has a DeltaChannel '{deltas[0]}' in its state" if deltas else None


def main() -> int:
    try:
        for name, place in graph_names().items():
            _load(name, place)
    except ConfigurationError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 the command's only output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
