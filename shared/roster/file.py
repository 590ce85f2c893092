"""Read a roster file: TOML with tables `[agents.KEY]` and `[councils.KEY]`, and the fields of the API.

Each mistake is one line that names the file, the table and the field.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.catalog import Model
from shared.errors import ConfigurationError
from shared.graph_names import graph_names, graph_of, is_graph
from shared.names import Env
from shared.roster.bodies import AgentBody, CouncilBody, find_fault
from shared.roster.fields import Body

KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# In the order of writing, because councils name agents.
TABLES: Final[Mapping[str, type[Body]]] = MappingProxyType({"agents": AgentBody, "councils": CouncilBody})
_MESSAGES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this table",
    "string_pattern_mismatch": "has a character or a form that is not allowed",
}

_Body = TypeVar("_Body", bound=Body)


@dataclass(frozen=True, slots=True)
class RosterFile:
    """The agents and the councils of a file, by key, in its order."""

    agents: Mapping[str, AgentBody]
    councils: Mapping[str, CouncilBody]


def read_template(file: str, catalog: Mapping[str, Model]) -> RosterFile:
    """Read the roster of new tenants from the file in PANTHEON_ROSTER. Raises ConfigurationError."""
    path = Path(file)
    # A shell does not always expand `~`.
    with suppress(RuntimeError):
        path = path.expanduser()
    try:
        return read_roster(path, catalog, graph_names())
    except ConfigurationError as error:
        if isinstance(error.__cause__, OSError):
            raise ConfigurationError(f"{Env.ROSTER}: {path.absolute()}: {error.__cause__.strerror}.") from error
        raise


def read_roster(path: Path, catalog: Mapping[str, Model], graphs: Collection[str] = ()) -> RosterFile:
    """Read a roster that holds the agents of its councils. An empty file is an empty roster. `graphs` are the names of
    the deployment's graphs. Raises ConfigurationError, one line that names file, table and field."""
    document = read_document(path)
    for fault in misplaced(document):
        raise ConfigurationError(f"{path}: {fault}")
    return _Reader(path, document, catalog, graphs).roster()


def read_document(path: Path) -> Mapping[str, Any]:
    """Read the tables of a file, unchecked. Raises ConfigurationError."""
    try:
        # Editors on Windows begin a file with a byte order mark.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8.") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: is nested too deeply.") from error
    except ValueError as error:  # a number of more than 4,300 digits is no TOMLDecodeError
        raise ConfigurationError(f"{path}: {error}.") from error


def misplaced(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a fault for each entry that is not a table of an agent or a council, and for each invalid key."""
    for group, tables in document.items():
        if group not in TABLES:
            yield f"[{_shown(group)}] is not a table of a roster; use [agents.KEY] or [councils.KEY]"
        elif not isinstance(tables, dict):
            yield f"[{group}] must hold tables [{group}.KEY]"
        else:
            for key, table in tables.items():
                if not KEY.fullmatch(key):
                    reason = "a key is a small letter, then up to 31 small letters, digits, - and _"
                    yield f"[{group}.{_shown(key)}] key: {reason}"
                elif not isinstance(table, dict):
                    yield f"[{group}.{key}] must be a table"


def _shown(name: str) -> str:
    return ascii(name[:80])[1:-1]


class _Reader:
    def __init__(
        self, path: Path, document: Mapping[str, Any], catalog: Mapping[str, Model], graphs: Collection[str]
    ) -> None:
        self._path = path
        self._document = document
        self._catalog = catalog
        self._graphs = graphs

    def roster(self) -> RosterFile:
        agents = self._bodies("agents", AgentBody)
        for key, agent in agents.items():
            if fault := find_fault(agent, self._catalog):
                raise self._error(f"[agents.{key}]", f"{fault[0]}: {fault[1]}")
        councils = self._bodies("councils", CouncilBody)
        for key, council in councils.items():
            if key in agents:
                raise self._error(f"[councils.{key}]", "key: an agent has it; agents and councils share their keys")
            if is_graph(council.mode) and graph_of(council.mode) not in self._graphs:
                raise self._error(f"[councils.{key}]", f"mode: there is no graph '{graph_of(council.mode)}'")
            if unknown := [each for each in council.agent_keys if each not in agents]:
                raise self._error(f"[councils.{key}]", f"agent_keys: there is no [agents.{unknown[0]}]")
        return RosterFile(MappingProxyType(agents), MappingProxyType(councils))

    def _bodies(self, group: str, kind: type[_Body]) -> dict[str, _Body]:
        tables = self._document.get(group, {})
        return {key: self._body(f"[{group}.{key}]", table, kind) for key, table in tables.items()}

    def _body(self, where: str, table: object, kind: type[_Body]) -> _Body:
        try:
            return kind.model_validate(table)
        except ValidationError as error:
            raise self._error(where, fault_lines(error)[0]) from None

    def _error(self, where: str, fault: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}: {where} {fault}")


def fault_lines(error: ValidationError) -> list[str]:
    """Return a line `field: reason` for each fault of a table."""
    return [_line(fault) for fault in error.errors(include_input=False, include_url=False)]


def _line(fault: ErrorDetails) -> str:
    field = ".".join(str(part) if re.fullmatch(r"\w{1,40}", str(part), re.ASCII) else "?" for part in fault["loc"])
    said = _MESSAGES.get(fault["type"]) or fault["msg"].replace("Input should", "must")
    return f"{field}: {said}"
