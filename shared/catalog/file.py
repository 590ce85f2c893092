"""Read a catalog from a TOML file. Each mistake is one line that names the file, the table and the key."""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from shared.catalog.models import CALL_MARGIN_S, WORKER_SECONDS, Catalog, Dialect, Kind, Model, Provider, Rates
from shared.errors import ConfigurationError

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_API_KEY: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|secret:[!-~]{1,2048}")
_DEFAULT_CALL_S: Final = 20.0
_MESSAGES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a key of this table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "has a character or a form that is not allowed",
}
# A fault's path ends with a type's name if several types are possible.
_TYPES: Final = ("bool", "float", "str", "constrained-str")


def _rate(value: object) -> object:
    # TOML's floats are read as Decimal. A bool is an int in Python.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", value):
        return Decimal(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value >= 0:
        return Decimal(value)
    raise PydanticCustomError("rate", 'must be a number of at least 0, as in "0.25"')


def _key_source(value: object) -> object:
    # The message leaves out the value, which may be the key itself.
    if isinstance(value, str) and _API_KEY.fullmatch(value):
        return value
    raise PydanticCustomError("api_key", "must be env:VARIABLE or secret:NAME")


_Rate = Annotated[Decimal, BeforeValidator(_rate), Field(ge=0, allow_inf_nan=False)]
_Text = Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[!-~]+$")]
_Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
_Number = Annotated[float, BeforeValidator(lambda value: float(value) if isinstance(value, Decimal) else value)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Provider(_Table):
    kind: Kind
    base_url: Annotated[_Text | None, Field(pattern=r"^https?://[^/?#]")] = None
    api_key: Annotated[str | None, BeforeValidator(_key_source)] = None
    region: _Text | None = None


class _Rates(_Table):
    input: _Rate
    output: _Rate
    cache_read: _Rate
    cache_write: _Rate
    reasoning: _Rate | None = None
    cache_write_1h: _Rate | None = None

    def as_rates(self) -> Rates:
        reasoning = self.output if self.reasoning is None else self.reasoning
        return Rates(self.input, self.output, self.cache_read, self.cache_write, reasoning, self.cache_write_1h)


class _Alias(_Table):
    provider: str
    model_id: _Text
    context_window: _Tokens
    max_output_tokens: _Tokens
    rates: _Rates
    max_call_s: Annotated[_Number, Field(gt=0, le=WORKER_SECONDS - CALL_MARGIN_S, allow_inf_nan=False)] = (
        _DEFAULT_CALL_S
    )
    fallback_alias: str | None = None
    stream: bool | None = None
    thinking: bool | _Text | None = None
    temperature: bool | Annotated[_Number, Field(gt=0, le=2, allow_inf_nan=False)] | None = None
    reasoning_effort: _Text | None = None
    json_schema: bool | None = None
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] | None = None
    prompt_cache_key: bool | None = None
    cache_minimum: _Tokens | None = None

    def as_model(self, alias: str, kind: Kind) -> Model:
        dialect = Dialect(**{name: getattr(self, name) for name in Dialect.__dataclass_fields__})
        return Model(
            alias=alias,
            provider=self.provider,
            kind=kind,
            model_id=self.model_id,
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            max_call_s=self.max_call_s,
            rates=self.rates.as_rates(),
            fallback_alias=self.fallback_alias,
            dialect=dialect,
        )


def read_catalog(path: Path) -> Catalog:
    """Read the catalog in a file. Raises ConfigurationError, one line that names file, table and key."""
    try:
        # Editors on Windows begin a file with a byte order mark.
        document = tomllib.loads(path.read_text("utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}.") from error
    return _Reader(str(path), document).catalog()


class _Reader:
    def __init__(self, file: str, document: Mapping[str, Any]) -> None:
        self._file = file
        self._document = document

    def catalog(self) -> Catalog:
        for name in self._document:
            if name not in ("providers", "aliases"):
                raise self._error(f"[{name}]", "is not a table of a catalog; use [providers.NAME] or [aliases.NAME]")
        providers = {name: self._provider(name, table) for name, table in self._tables("providers").items()}
        aliases = {name: self._alias(name, table, providers) for name, table in self._tables("aliases").items()}
        for model in aliases.values():
            self._check_fallbacks(model, aliases)
        return Catalog(MappingProxyType(aliases), MappingProxyType(providers))

    def _tables(self, group: str) -> Mapping[str, Any]:
        tables = self._document.get(group)
        if not isinstance(tables, dict) or not tables:
            raise self._error(f"[{group}.NAME]", "is missing; a catalog has at least one")
        return tables

    def _provider(self, name: str, table: object) -> Provider:
        where = f"[providers.{name}]"
        read = self._read(_Provider, where, name, table)
        if read.kind == "openai_compatible" and read.base_url is None:
            raise self._error(where, "base_url is missing")
        for key in ("base_url", "api_key") if read.kind in ("bedrock", "scripted") else ("region",):
            if getattr(read, key) is not None:
                raise self._error(where, f"{key} does not apply to the kind '{read.kind}'")
        return Provider(name, read.kind, read.base_url, read.api_key, read.region)

    def _alias(self, name: str, table: object, providers: Mapping[str, Provider]) -> Model:
        where = f"[aliases.{name}]"
        read = self._read(_Alias, where, name, table)
        if read.provider not in providers:
            raise self._error(where, f"provider: there is no [providers.{read.provider[:64]}]")
        if read.max_output_tokens >= read.context_window:
            raise self._error(where, "max_output_tokens must be less than context_window")
        kind = providers[read.provider].kind
        if read.cache_minimum is not None and kind != "bedrock":
            raise self._error(where, f"cache_minimum does not apply to the kind '{kind}'")
        model: Model = read.as_model(name, kind)
        return model

    def _check_fallbacks(self, model: Model, aliases: Mapping[str, Model]) -> None:
        where, seen, name = f"[aliases.{model.alias}]", [model.alias], model.fallback_alias
        while name is not None:
            if name not in aliases:
                raise self._error(f"[aliases.{seen[-1]}]", f"fallback_alias: there is no [aliases.{name[:64]}]")
            if name in seen:
                raise self._error(where, f"fallback_alias forms a cycle: {' -> '.join([*seen, name])}")
            seen.append(name)
            name = aliases[name].fallback_alias

    def _read(self, kind: type[Any], where: str, name: str, table: object) -> Any:
        if not _NAME.fullmatch(name):
            raise self._error(where, "a name is a small letter, then up to 31 small letters, digits, - and _")
        try:
            return kind.model_validate(table)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise self._error(where, _fault(first)) from None

    def _error(self, where: str, fault: str) -> ConfigurationError:
        return ConfigurationError(f"{self._file}: {where} {fault}")


def _fault(fault: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"] if re.fullmatch("[a-z0-9_]+", str(part)) and part not in _TYPES)
    said = _MESSAGES.get(fault["type"]) or fault["msg"].replace("Input should", "must")
    return f"{key} {said}" if key else "must be a table"
