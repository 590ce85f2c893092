"""The environment of the local run, read and checked before anything is started.

The rule this file protects: a wrong value costs one clear line, not a stack that is half started; and the functions
never see the owner's database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from local.gateway import tokens
from shared import catalog
from shared.errors import ConfigurationError
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.names import Env, LocalEnv
from shared.settings import Settings

_PREFIX: Final = "PANTHEON_"
# What the local run finds out for itself, and tells those functions that it is for.
_FOUND_OUT: Final = frozenset((Env.APP_DATABASE_URL.value, Env.OPS_DATABASE_URL.value))
_DEFAULTS: Final = {LocalEnv.PORT.value: "8000", LocalEnv.DATA_DIR.value: ".pantheon"}


@dataclass(frozen=True)
class Environment:
    """What the local run was told. `database_url` is the owner's, None for the embedded server; `turn_seconds` is
    what a posted turn may take. `functions` is the environment of every function, but for what is known only later: its
    database, and the model's address where `needs_model` says that one has to be started."""

    port: int
    data_dir: Path
    database_url: str | None
    turn_seconds: float
    needs_model: bool
    functions: Mapping[str, str]


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where everything that outlives a run is kept."""
    return Path(_given(environ)[LocalEnv.DATA_DIR])


def read(environ: Mapping[str, str]) -> Environment:
    """Raises ConfigurationError that names the variable at fault."""
    given = _given(environ)
    functions = {name: value for name, value in given.items() if name not in _FOUND_OUT | set(LocalEnv)} | {
        Env.JWT_ISSUER.value: tokens.ISSUER,
        Env.JWT_AUDIENCE.value: tokens.AUDIENCE,
        Env.TENANT_CLAIM.value: tokens.TENANT_CLAIM,
        Env.ROLES_CLAIM.value: tokens.ROLES_CLAIM,
    }
    # Whoever names an address and nothing else means an OpenAI-compatible server there.
    functions.setdefault(Env.LLM_PROVIDER, "openai" if Env.LLM_BASE_URL in functions else "local")
    settings = _settings(functions)
    return Environment(
        port=_port(given[LocalEnv.PORT]),
        data_dir=data_dir(environ),
        database_url=given.get(LocalEnv.DATABASE_URL),
        turn_seconds=settings.turn_seconds,
        needs_model=settings.llm_provider == "local" and settings.llm_base_url is None,
        functions=functions,
    )


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """The defaults under what is set. A variable of ours that is set to nothing means the same as one that is not."""
    return _DEFAULTS | {name: value for name, value in environ.items() if value or not name.startswith(_PREFIX)}


def _port(text: str) -> int:
    # int() alone takes blanks, signs, underscores and the digits of every script.
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise ConfigurationError(f"{LocalEnv.PORT}: not a port; it takes a number from 0 (any that is free) to 65535.")
    return int(text)


def _settings(functions: Mapping[str, str]) -> Settings:
    """What the functions will read, checked as they do it, and one step further: before the first turn needs it."""
    try:
        settings = Settings.model_validate({**functions, Env.APP_DATABASE_URL: ""})
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError("; ".join(faults)) from None
    catalog.build(settings)
    if settings.llm_provider == "openai" or settings.llm_base_url:
        OpenAICompatibleProvider.from_settings(settings)
    return settings
