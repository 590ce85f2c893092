"""Read and check the environment of the local run before anything starts.

A wrong value is an error in one line that names the variable. No function gets the owner's URL of the database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from local.gateway import hosts, tokens
from local.gateway.tokens import ClaimNames
from shared import variables
from shared.catalog import Catalog, build
from shared.catalog.deployed import overruled
from shared.domain.origins import origin_pattern
from shared.errors import ConfigurationError
from shared.graph_names import parse_graphs
from shared.llm.providers import connect
from shared.names import Env, LocalEnv
from shared.roster.file import RosterFile, read_template
from shared.settings import AuthorizerSettings, CatalogSettings, Settings

_Part = TypeVar("_Part", bound=BaseModel)

# The local run sets these itself, and gives each function only its own.
_MADE: Final = frozenset(
    name.value
    for name in (Env.APP_DATABASE_URL, Env.OPS_DATABASE_URL, Env.OPERATOR_DATABASE_URL, Env.AUTH_DATABASE_URL)
)
# Only the authorizer gets these, as on AWS.
_AUTHORIZERS: Final = frozenset(
    name.value
    for name in (
        *(Env.JWT_ISSUER, Env.JWT_AUDIENCE, Env.JWKS_URL),
        *(Env.TENANT_CLAIM, Env.ROLES_CLAIM, Env.TENANT_OF_ONE),
    )
)
KEYS: Final = "jwks.json"
_DEFAULTS: Final = {
    LocalEnv.PORT.value: "8000",
    LocalEnv.DATA_DIR.value: ".pantheon",
    Env.OPERATOR_ROLE.value: "operator",
    Env.CORS_ORIGINS.value: "http://localhost:*,http://127.0.0.1:*",
}


@dataclass(frozen=True)
class Environment:
    """The settings of the local run.

    Attributes:
        database_url: The owner's URL; None for the embedded server.
        ignored: Variables that PANTHEON_CATALOG overrides.
        catalog: The models. A local provider has no address if its model must be started.
        roster: The agents and councils of a new tenant, if the user names a file.
        graphs: The `module:attribute` of each graph of mode `graph:<name>`, by name.
        functions: The user's environment and our defaults. Each function gets only its part.
        authorizer: The settings that only the authorizer gets, without its database.
        claim_names: How local tokens name their claims.
        origins: A regular expression of the origins whose web pages may read answers.
        hosts: Names of a proxy in front of the gateway.
    """

    port: int
    data_dir: Path
    database_url: str | None
    catalog: Catalog
    roster: RosterFile | None
    graphs: Mapping[str, str]
    ignored: tuple[str, ...]
    functions: Mapping[str, str]
    authorizer: Mapping[str, str]
    claim_names: ClaimNames
    origins: str | None
    hosts: tuple[str, ...]

    @property
    def needs_model(self) -> bool:
        return any(each.kind == "local" and not each.base_url for each in self.catalog.used().values())

    @property
    def model_window(self) -> int:
        """Return how many tokens a request to the local model may have.

        It is twice the window, because Pantheon's estimate for a rare script can be half of the real number."""
        return 2 * max((each.context_window for each in self.catalog.values() if each.kind == "local"), default=0)


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder of everything that outlives a run."""
    return Path(_given(environ)[LocalEnv.DATA_DIR])


def claim_names(environ: Mapping[str, str]) -> ClaimNames:
    """Return the names of the claims in local tokens."""
    given = _given(environ)
    default = ClaimNames()
    return ClaimNames(given.get(Env.TENANT_CLAIM, default.tenant), given.get(Env.ROLES_CLAIM, default.roles))


def operator_role(environ: Mapping[str, str]) -> str:
    return _given(environ)[Env.OPERATOR_ROLE]


def read(environ: Mapping[str, str]) -> Environment:
    """Read and check the variables. Raises ConfigurationError, which names the wrong variable."""
    variables.check(environ)
    given = _given(environ)
    functions = {name: value for name, value in given.items() if name not in _MADE | _AUTHORIZERS | set(LocalEnv)}
    authorizer = {name: value for name, value in given.items() if name in _AUTHORIZERS} | {
        Env.JWT_ISSUER.value: tokens.ISSUER,
        Env.JWT_AUDIENCE.value: tokens.AUDIENCE,
        Env.JWKS_URL.value: (data_dir(environ) / KEYS).absolute().as_uri(),
    }
    _check(AuthorizerSettings, {**functions, **authorizer, Env.AUTH_DATABASE_URL: ""})
    chosen = _check(CatalogSettings, functions)
    ignored = overruled(chosen, build(chosen))
    for name in ignored:
        del functions[name]
    if Env.CATALOG not in functions:
        # An address without a provider names an OpenAI-compatible server.
        functions.setdefault(Env.LLM_PROVIDER, "openai" if Env.LLM_BASE_URL in functions else "local")
    settings = _check(Settings, {**functions, Env.APP_DATABASE_URL: ""})
    catalog, roster = _catalog(settings, functions), functions.get(Env.ROSTER)
    return Environment(
        port=_port(given[LocalEnv.PORT]),
        data_dir=data_dir(environ),
        database_url=given.get(LocalEnv.DATABASE_URL),
        catalog=catalog,
        roster=None if roster is None else read_template(roster, catalog),
        graphs=parse_graphs(functions.get(Env.GRAPHS, "")),
        ignored=tuple(ignored),
        functions=functions,
        authorizer=authorizer,
        claim_names=claim_names(environ),
        origins=origin_pattern(functions[Env.CORS_ORIGINS]),
        hosts=_hosts(given.get(LocalEnv.HOSTS, "")),
    )


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Add the defaults to the variables that are set. An empty variable of Pantheon counts as unset."""
    return _DEFAULTS | {
        name: value for name, value in environ.items() if value or not name.startswith(variables.PREFIX)
    }


def _port(text: str) -> int:
    # int() alone takes blanks, signs, underscores and the digits of every script.
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise ConfigurationError(f"{LocalEnv.PORT}: not a port; set a number from 0 (any free port) to 65535.")
    return int(text)


def _hosts(text: str) -> tuple[str, ...]:
    try:
        return hosts.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{LocalEnv.HOSTS}: '{error}' is not a host; give names without a port.") from None


def catalog_settings(functions: Mapping[str, str]) -> CatalogSettings:
    """Return the settings of the functions that choose the catalog."""
    return _check(CatalogSettings, functions)


def _catalog(settings: Settings, functions: Mapping[str, str]) -> Catalog:
    """Build the catalog, and check its addresses and keys as the functions do before a turn."""
    catalog = build(settings)
    # The local model has no address before its start.
    connect(build(settings.model_copy(update={"local_model_url": "http://127.0.0.1"})), functions.get)
    return catalog


def _check(part: type[_Part], functions: Mapping[str, str]) -> _Part:
    """Check a part of the environment as the functions do. Raises ConfigurationError."""
    try:
        return part.model_validate(functions)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError("; ".join(faults)) from None
