"""Read stages from stages.toml, or print them. A mistake is one line that names the file, the table and the key.

python -m infra_cdk.stages_file            print every stage with its values
python -m infra_cdk.stages_file NAME       print one stage

PANTHEON_STAGES names another file than stages.toml in the root of the repository.
"""

import argparse
import difflib
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from infra_cdk.console_client import ConsoleClient
from infra_cdk.graphs import StageGraphs
from infra_cdk.places import Awake, ExistingVpc
from infra_cdk.stage import Stage
from infra_cdk.stages import STAGES
from shared.errors import ConfigurationError
from shared.names import DeployEnv

VARIABLE: Final = DeployEnv.STAGES
DEFAULT: Final = Path(__file__).parents[1] / "stages.toml"
_KIND: Final = "kind"
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_MESSAGES: Final = {"missing": "is missing", "extra_forbidden": "is not known"}
# The path of a pydantic error also contains the types of a union.
_TYPES: Final = ("ExistingVpc", "Awake", "ConsoleClient", "StageGraphs", "int", "float", "str", "bool")
# The fields of a stage that are tables in the file.
_PARTS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {"vpc": ExistingVpc, "awake": Awake, "console_client": ConsoleClient, "graphs": StageGraphs}
)


def _model(name: str, of: type[Any], *, required: bool) -> type[BaseModel]:
    """Return a strict model of a dataclass. `model_fields_set` has the given fields."""
    hints = get_type_hints(of)
    known: dict[str, Any] = {
        field.name: (hints[field.name], ... if required and _has_no_default(of, field.name) else None)
        for field in fields(of)
        if (of, field.name) != (Stage, "name")
    }
    if of is Stage:
        known |= {key: (_model(part.__name__, part, required=True) | None, None) for key, part in _PARTS.items()}
    made: type[BaseModel] = create_model(name, __config__=_STRICT, **known)
    return made


def _has_no_default(of: type[Any], name: str) -> bool:
    return not hasattr(of, name)


_STAGE: Final = _model("Stage", Stage, required=False)


def load(file: Path | None = None) -> Mapping[str, Stage]:
    """Return the kinds and the file's stages by name. A stage of the file replaces a kind of its name.

    Args:
        file: the stages file. The default is the file of `PANTHEON_STAGES`, or stages.toml in the root if it exists.

    Raises: ConfigurationError with one line.
    """
    if file is None:
        named = os.environ.get(VARIABLE)
        file = Path(named) if named else DEFAULT
        if not named and not file.exists():
            return STAGES
    return MappingProxyType({**STAGES, **_Reader(file).stages()})


def chosen(names: Iterable[str]) -> list[Stage]:
    """Return the stages with these names. Raise ConfigurationError for an unknown name."""
    stages = load()
    for name in names:
        if name not in stages:
            there = ", ".join(stages)
            raise ConfigurationError(f"There is no stage {name!r}; there are {there}. stages.toml adds others.")
    return [stages[name] for name in names]


class _Reader:
    def __init__(self, file: Path) -> None:
        self._file = file

    def stages(self) -> dict[str, Stage]:
        document = self._document()
        for name in document:
            if name != "stages":
                raise self._error(f"[{name}]", "is no table of a stages file; there is [stages.NAME]")
        tables = document.get("stages")
        if not isinstance(tables, dict) or not tables:
            raise self._error("[stages.NAME]", "is missing; a stages file has at least one")
        return {name: self._stage(name, table) for name, table in tables.items()}

    def _document(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._file.read_text("utf-8-sig"), parse_float=Decimal)
        except OSError as error:
            raise ConfigurationError(f"{self._name}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self._name}: is not UTF-8.") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{self._name}: {error}.") from error

    def _stage(self, name: str, table: object) -> Stage:
        where = f"[stages.{name}]"
        if not isinstance(table, dict):
            raise self._error(where, "must be a table")
        given = dict(table)
        kind = given.pop(_KIND, name if name in STAGES else None)
        if not isinstance(kind, str) or kind not in STAGES:
            raise self._error(where, f"kind must be one of {', '.join(STAGES)}")
        try:
            # Strict JSON accepts a list for a tuple, and text or a number for a decimal, as TOML writes them.
            read = _STAGE.model_validate_json(json.dumps(given, default=_plain))
        except ValidationError as error:
            raise self._error(where, _fault(error)) from None
        values = {key: _value(getattr(read, key)) for key in read.model_fields_set}
        values |= {key: part(**values[key]) for key, part in _PARTS.items() if isinstance(values.get(key), dict)}
        try:
            return replace(STAGES[kind], name=name, **values)
        except ValueError as error:
            raise self._error(where, str(error).removeprefix(f"Stage {name}: ")) from None

    @property
    def _name(self) -> str:
        return self._file.name if self._file == DEFAULT else str(self._file)

    def _error(self, where: str, fault: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}: {where} {fault}")


def _plain(value: object) -> str:
    return str(value)


def _value(read: object) -> Any:
    """Convert a value to the type of the dataclass's field."""
    if isinstance(read, BaseModel):
        return {key: getattr(read, key) for key in read.model_fields_set}
    return MappingProxyType(read) if isinstance(read, dict) else read


def _fault(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"] if part not in _TYPES]
    said = _MESSAGES.get(first["type"]) or first["msg"].replace("Input should", "must")
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known(path[:-1]), n=1)
        said += f"; did you mean {near[0]}?" if near else "; `make stages` prints the keys"
    return f"{'.'.join(path)} {said}"


def _known(table: list[str]) -> list[str]:
    """Return the keys of a table, by its path below the stage."""
    of = _PARTS[table[0]] if table and table[0] in _PARTS else Stage
    return [field.name for field in fields(of) if (of, field.name) != (Stage, "name")] + [_KIND]


def _shown(value: object) -> str:
    """Format a value as in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Decimal)):
        return json.dumps(str(value))
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_shown(one)}' for key, one in value.items())} }}" if value else "{}"
    if is_dataclass(value):
        return _shown({field.name: getattr(value, field.name) for field in fields(value)})
    return "not set" if value is None else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of stages (all)")
    given = parser.parse_args()
    try:
        stages = chosen(given.names or list(load()))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    for stage in stages:
        print(f"[stages.{stage.name}]")
        for field in fields(Stage):
            if field.name != "name":
                print(f"  {field.name} = {_shown(getattr(stage, field.name))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
