"""Prepare the function for graphs, with an interpreter that has the libraries of the extra `graphs`.

If a graph cannot be imported, the stack prints one line and does not start.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from local.event_source import GRAPHS
from local.function_settings import told
from local.gateway.pool import Function
from shared.catalog import Catalog
from shared.names import Env

# `make graphs-setup` creates it.
PYTHON: Final = Path(__file__).parents[1] / ".venv-graphs/bin/python"
_IMPORT_S: Final = 60.0
# The module prints one line and ends with 1 if a graph cannot run.
_CHECK: Final = "functions.graphs.loading"


class GraphsError(Exception):
    """The graphs cannot run. The text is one line."""


def check(given: Mapping[str, str], catalog: Catalog) -> Function:
    """Import each graph, and return the function for graphs without its database. Raises GraphsError."""
    python = _python()
    command: list[str | Path] = [python, "-P", "-m", _CHECK]
    environ = told(GRAPHS.name, given, catalog)
    try:
        checked = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_IMPORT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GraphsError(f"{Env.GRAPHS}: importing the graphs takes more than {_IMPORT_S:.0f} s.") from None
    if checked.returncode != 0:
        last = (checked.stderr.strip() or f"importing the graphs ends with {checked.returncode}").splitlines()[-1]
        raise GraphsError(last if last.startswith(Env.GRAPHS) else f"{Env.GRAPHS}: {last}")
    return replace(GRAPHS, python=python)


def _python() -> Path:
    """Return an interpreter that has LangGraph: this one, or the one of `make graphs-setup`."""
    if find_spec("langgraph") is not None:
        return Path(sys.executable)
    if PYTHON.exists():
        return PYTHON
    raise GraphsError(f"{Env.GRAPHS} needs LangGraph: run `make graphs-setup`.")
