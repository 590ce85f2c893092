"""The typed environment. It is read on first use and never at import, so that a handler can be imported anywhere.

Each part has the variables of one job. A function reads only its own parts, so it works without the others' variables,
and the functions that serve tenants never get the database URL of operations.
"""

import os
from decimal import Decimal
from functools import cache
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared import variables
from shared.errors import ConfigurationError

LlmProvider = Literal["local", "openai", "bedrock", "scripted"]

Seconds = Annotated[float, Field(gt=0, le=900, allow_inf_nan=False)]
Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


def _is_the_operators(role: str) -> str:
    """Refuse `member` and `admin`, because all of them would operate the deployment."""
    if role in ("member", "admin"):
        raise ValueError("the operator's role cannot be member or admin")
    return role


OperatorRole = Annotated[str, AfterValidator(_is_the_operators)]


class Environment(BaseModel):
    """A part of the environment. Field `x_y` is the variable `PANTHEON_X_Y`. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=lambda name: f"PANTHEON_{name.upper()}")


class HttpSettings(Environment):
    """The settings of HTTP functions: the operator's role, and the CORS origins with commas between them."""

    operator_role: OperatorRole = "pantheon:operator"
    cors_origins: str = ""


class IssuerSettings(Environment):
    """The issuer's URL, and the place of its keys: `s3://bucket/key` or `file:///path`."""

    jwt_issuer: str
    jwks_url: Annotated[str, Field(pattern=r"^(s3://[a-z0-9.-]+/|file:///).+$")]


class AuthorizerSettings(IssuerSettings):
    """The settings of the authorizer."""

    jwt_audience: str
    auth_database_url: str
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    operator_role: OperatorRole = "pantheon:operator"
    # False refuses a token without a tenant. True gives its user a tenant of their own.
    tenant_of_one: bool = False


class CatalogSettings(Environment):
    """The source of the catalog. `catalog` is the path of a TOML file. Without it, `llm_provider` names a packaged
    file, and `llm_base_url` and `llm_api_key` set its endpoint and key. `pantheon run` sets `local_model_url` and
    `local_model_key` for the model that it started."""

    catalog: str | None = None
    llm_provider: LlmProvider = "local"
    llm_base_url: Annotated[str | None, Field(pattern=r"^https?://[^/?#]")] = None
    llm_api_key: str | None = Field(None, repr=False)
    local_model_url: str | None = None
    local_model_key: str | None = Field(None, repr=False)
    max_call_s: Seconds | None = None
    routing_alias: str = "fast"
    summary_alias: str = "fast"


class Settings(CatalogSettings):
    """The settings of functions that serve tenants or run their turns."""

    stage: str = "local"
    app_database_url: str
    turn_seconds: Seconds = 240.0
    # If unset, shared/turns/policies.py chooses a cap that fits the alias.
    routing_max_tokens: Annotated[int | None, Field(ge=16, le=8192)] = None
    routing_max_agents: Annotated[int, Field(ge=1, le=32)] = 4
    summary_max_tokens: Annotated[int | None, Field(ge=16, le=8192)] = None
    # A summary is due after this many turns, or about this many tokens, that no summary covers.
    summary_after_turns: Annotated[int, Field(ge=2, le=40)] = 12
    summary_after_tokens: Annotated[int, Field(ge=100)] = 4000
    # Limits of one turn, of a tenant's turns in a minute, and of its active turns. 0 is no limit.
    turn_max_calls: Annotated[int, Field(ge=0)] = 120
    turn_max_tokens: Annotated[int, Field(ge=0)] = 0
    turn_max_usd: Usd = Decimal(0)
    turns_per_minute: Annotated[int, Field(ge=0, le=100_000)] = 0
    tenant_active_turns: Annotated[int, Field(ge=0, le=100_000)] = 20


class BudgetSettings(Environment):
    """The default limits of a month in USD: a tenant's cap, and the platform's allowance for a tenant."""

    default_cap_usd: Usd = Decimal(100)
    platform_allowance_usd: Usd = Decimal(5)


class QuotaSettings(Environment):
    """The most agents, sessions and API keys of one tenant. Deleted agents and sessions do not count."""

    max_agents: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_sessions: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_api_keys: Annotated[int, Field(ge=1, le=100_000)] = 1_000


class RosterSettings(Environment):
    """The path of a TOML file with the agents and councils of a new tenant."""

    roster: str | None = None


class GraphSettings(Environment):
    """The graphs of mode `graph:<name>`, `name=module:attribute` with commas between them."""

    graphs: str = ""


class OperationsSettings(Environment):
    """The settings of functions that work across tenants as `pantheon_ops`."""

    ops_database_url: str
    # Sessions without a turn or change for this many days are deleted. None keeps all.
    retention_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    # The same limit for sessions of chat programs and of plain calls.
    implicit_session_days: Annotated[int, Field(ge=1, le=36_500)] = 7


class OperatorSettings(Environment):
    """The settings of the operator's function. Its role sets limits and reads usage across tenants."""

    operator_database_url: str


class InvocationLogSettings(Environment):
    """The place of Bedrock's invocation log, and the stage whose calls in it are ours.

    The place is `s3://bucket/AWSLogs/<account>/BedrockModelInvocationLogs/<region>`, with an optional prefix before
    `AWSLogs`."""

    stage: str = "local"
    invocation_log: Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]+(/[^/]+)+$")]


class StageSettings(Environment):
    """The deployment's name, which separates metrics in one account, and whether it emits all metrics or only those
    that alarms read."""

    stage: str = "local"
    metrics: Literal["all", "alarms"] = "all"


class MigrationSettings(Environment):
    """The owner's database URL, and the secret with the name and password if the URL lacks them."""

    owner_database_url: str
    owner_secret_arn: str | None = None


class AwsEnvironment(BaseModel):
    """AWS's variables for credentials and the Region. Field `x_y` is `AWS_X_Y`."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=lambda name: f"AWS_{name.upper()}")

    access_key_id: str | None = None
    secret_access_key: str | None = Field(None, repr=False)
    session_token: str | None = Field(None, repr=False)
    container_credentials_full_uri: str | None = None
    container_authorization_token: str | None = Field(None, repr=False)
    region: str | None = None


class QueueSettings(Environment):
    """The queues for turns of the worker and of graphs. Without a queue, only the turn's row says that it waits."""

    queue_url: str | None = None
    graphs_queue_url: str | None = None


@cache
def settings() -> Settings:
    """Read `Settings` once per process. Raises ConfigurationError that names each wrong variable, as all below."""
    return read(Settings)


def catalog_settings() -> CatalogSettings:
    """Read `CatalogSettings`. They are not cached, because the catalog is."""
    return read(CatalogSettings)


@cache
def http_settings() -> HttpSettings:
    """Read `HttpSettings` once per process."""
    return read(HttpSettings)


@cache
def issuer_settings() -> IssuerSettings:
    """Read `IssuerSettings` once per process."""
    return read(IssuerSettings)


@cache
def authorizer_settings() -> AuthorizerSettings:
    """Read `AuthorizerSettings` once per process."""
    return read(AuthorizerSettings)


@cache
def budget_settings() -> BudgetSettings:
    """Read `BudgetSettings` once per process."""
    return read(BudgetSettings)


@cache
def quota_settings() -> QuotaSettings:
    """Read `QuotaSettings` once per process."""
    return read(QuotaSettings)


def roster_settings() -> RosterSettings:
    """Read `RosterSettings`. They are not cached, because the roster is."""
    return read(RosterSettings)


def graph_settings() -> GraphSettings:
    """Read `GraphSettings`. They are not cached, because the parsed list is."""
    return read(GraphSettings)


@cache
def operations_settings() -> OperationsSettings:
    """Read `OperationsSettings` once per process."""
    return read(OperationsSettings)


@cache
def operator_settings() -> OperatorSettings:
    """Read `OperatorSettings` once per process."""
    return read(OperatorSettings)


@cache
def invocation_log_settings() -> InvocationLogSettings:
    """Read `InvocationLogSettings` once per process."""
    return read(InvocationLogSettings)


@cache
def migration_settings() -> MigrationSettings:
    """Read `MigrationSettings` once per process."""
    return read(MigrationSettings)


def variable(name: str) -> str | None:
    """Return a variable that the catalog names, None if it is unset or empty."""
    return os.environ.get(name) or None


def aws_environment() -> AwsEnvironment:
    """Read `AwsEnvironment` as it is now, because credentials change while a process runs."""
    return read(AwsEnvironment)


@cache
def stage_settings() -> StageSettings:
    """Read `StageSettings` once per process."""
    return read(StageSettings)


@cache
def queue_settings() -> QueueSettings:
    """Read `QueueSettings` once per process."""
    return read(QueueSettings)


_Part = TypeVar("_Part", bound=BaseModel)


def read(part: type[_Part]) -> _Part:
    """Read a part of the environment. Raises ConfigurationError that names each wrong or unknown variable."""
    variables.check(os.environ)
    # An empty variable means an unset one.
    names = (field.alias or "" for field in part.model_fields.values())
    given = {name: value for name in names if (value := os.environ.get(name))}
    try:
        return part.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(faults) from None
