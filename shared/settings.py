"""The environment, typed. It is read on first use and never at import, so that a handler can be imported anywhere.

A function reads no more than its job needs: what is missing here must not keep a function from working that has no
use for it, and the functions that serve tenants never get the address at which operations see all of them.
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
    """Every member or every administrator would operate the deployment."""
    if role in ("member", "admin"):
        raise ValueError("the operator's role cannot be member or admin")
    return role


OperatorRole = Annotated[str, AfterValidator(_is_the_operators)]


class Environment(BaseModel):
    """A part of the environment: field `x_y` is the variable `PANTHEON_X_Y`. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=lambda name: f"PANTHEON_{name.upper()}")


class HttpSettings(Environment):
    """What an HTTP function needs to know: the role that operates the deployment, and the origins whose pages may read
    its answers, with commas between them."""

    operator_role: OperatorRole = "pantheon:operator"
    cors_origins: str = ""


class IssuerSettings(Environment):
    """Whose tokens count: the issuer's URL, and where its keys lie, `s3://bucket/key` or `file:///path`."""

    jwt_issuer: str
    jwks_url: Annotated[str, Field(pattern=r"^(s3://[a-z0-9.-]+/|file:///).+$")]


class AuthorizerSettings(IssuerSettings):
    """What the authorizer needs to know."""

    jwt_audience: str
    auth_database_url: str
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    operator_role: OperatorRole = "pantheon:operator"
    # A token that names no tenant is refused, or its user is alone in a tenant.
    tenant_of_one: bool = False


class CatalogSettings(Environment):
    """The source of the catalog: `catalog` is the path of a TOML file. Without it, `llm_provider` names a packaged
    file, and `llm_base_url` and `llm_api_key` set its endpoint and key. `local_model_url` and `local_model_key` belong
    to the model that `pantheon run` has started."""

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
    """What a function needs to know that serves tenants or runs their turns."""

    stage: str = "local"
    app_database_url: str
    turn_seconds: Seconds = 240.0
    # Without a cap, shared/turns/policies.py chooses one that fits the alias.
    routing_max_tokens: Annotated[int | None, Field(ge=16, le=8192)] = None
    routing_max_agents: Annotated[int, Field(ge=1, le=32)] = 4
    summary_max_tokens: Annotated[int | None, Field(ge=16, le=8192)] = None
    # A summary is due after so many turns, or about so many tokens, that none covers yet.
    summary_after_turns: Annotated[int, Field(ge=2, le=40)] = 12
    summary_after_tokens: Annotated[int, Field(ge=100)] = 4000
    # What one turn may take; how many turns a tenant may post within a minute, and have active; 0 is no limit.
    turn_max_calls: Annotated[int, Field(ge=0)] = 120
    turn_max_tokens: Annotated[int, Field(ge=0)] = 0
    turn_max_usd: Usd = Decimal(0)
    turns_per_minute: Annotated[int, Field(ge=0, le=100_000)] = 0
    tenant_active_turns: Annotated[int, Field(ge=0, le=100_000)] = 20


class BudgetSettings(Environment):
    """The default limits of a month in USD: of a tenant without a cap, and of the platform's share for one tenant."""

    default_cap_usd: Usd = Decimal(100)
    platform_allowance_usd: Usd = Decimal(5)


class QuotaSettings(Environment):
    """How many rows one tenant may have: living agents, living sessions, and API keys."""

    max_agents: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_sessions: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_api_keys: Annotated[int, Field(ge=1, le=100_000)] = 1_000


class RosterSettings(Environment):
    """`roster` is the path of a TOML file with the agents and councils that a new tenant starts with."""

    roster: str | None = None


class GraphSettings(Environment):
    """The graphs of mode `graph:<name>`: `name=module:attribute`, with commas between them."""

    graphs: str = ""


class OperationsSettings(Environment):
    """What a function needs to know that works across tenants, in the role for operations."""

    ops_database_url: str
    # Sessions that nobody has touched for so many days are deleted; without it, none is.
    retention_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    # The same for sessions that no person made: those of chat programs, and of plain calls.
    implicit_session_days: Annotated[int, Field(ge=1, le=36_500)] = 7


class OperatorSettings(Environment):
    """What the operator's function needs to know: its role sets limits and reads usage across tenants."""

    operator_database_url: str


class InvocationLogSettings(Environment):
    """Where Bedrock writes its invocation log, `s3://bucket/AWSLogs/<account>/BedrockModelInvocationLogs/<region>` with
    a prefix before `AWSLogs` if it has one; and whose calls in it are ours."""

    stage: str = "local"
    invocation_log: Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]+(/[^/]+)+$")]


class StageSettings(Environment):
    """Which deployment this is: several may share an account, and their metrics must not add up. `metrics` says whether
    it emits all of them or only those that alarms read."""

    stage: str = "local"
    metrics: Literal["all", "alarms"] = "all"


class MigrationSettings(Environment):
    """What the migration needs to know: the owner's URL, and where his name and password are if they are not in it."""

    owner_database_url: str
    owner_secret_arn: str | None = None


class AwsEnvironment(BaseModel):
    """AWS's own variables for credentials and the Region: field `x_y` is `AWS_X_Y`."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=lambda name: f"AWS_{name.upper()}")

    access_key_id: str | None = None
    secret_access_key: str | None = Field(None, repr=False)
    session_token: str | None = Field(None, repr=False)
    container_credentials_full_uri: str | None = None
    container_authorization_token: str | None = Field(None, repr=False)
    region: str | None = None


class QueueSettings(Environment):
    """Where turns are handed over, and where those of graphs are. Without a queue, a turn's row alone says that it
    waits."""

    queue_url: str | None = None
    graphs_queue_url: str | None = None


@cache
def settings() -> Settings:
    """Read the environment once per process. Raises ConfigurationError that names each variable at fault."""
    return read(Settings)


def catalog_settings() -> CatalogSettings:
    """The same for the catalog. It is not cached here, because the catalog itself is cached."""
    return read(CatalogSettings)


@cache
def http_settings() -> HttpSettings:
    """The same for functions that answer HTTP."""
    return read(HttpSettings)


@cache
def issuer_settings() -> IssuerSettings:
    """The same for the function that copies the issuer's keys."""
    return read(IssuerSettings)


@cache
def authorizer_settings() -> AuthorizerSettings:
    """The same for the authorizer."""
    return read(AuthorizerSettings)


@cache
def budget_settings() -> BudgetSettings:
    """The same for functions that hold against a budget or show one."""
    return read(BudgetSettings)


@cache
def quota_settings() -> QuotaSettings:
    """The same for functions that add what a quota bounds."""
    return read(QuotaSettings)


def roster_settings() -> RosterSettings:
    """The same for functions that welcome new tenants. It is not cached here, because the roster itself is cached."""
    return read(RosterSettings)


def graph_settings() -> GraphSettings:
    """The same for functions that know the names of graphs. It is not cached here, because the list is parsed once."""
    return read(GraphSettings)


@cache
def operations_settings() -> OperationsSettings:
    """The same for a function of operations."""
    return read(OperationsSettings)


@cache
def operator_settings() -> OperatorSettings:
    """The same for the operator's function."""
    return read(OperatorSettings)


@cache
def invocation_log_settings() -> InvocationLogSettings:
    """The same for whoever reads the provider's own log."""
    return read(InvocationLogSettings)


@cache
def migration_settings() -> MigrationSettings:
    """The same for the migration."""
    return read(MigrationSettings)


def variable(name: str) -> str | None:
    """A variable that the catalog names. None where it is not set or empty."""
    return os.environ.get(name) or None


def aws_environment() -> AwsEnvironment:
    """As it is now: unlike settings, credentials change while a process lives."""
    return read(AwsEnvironment)


@cache
def stage_settings() -> StageSettings:
    """The same for metrics, which every function emits, whatever else it has."""
    return read(StageSettings)


@cache
def queue_settings() -> QueueSettings:
    """The same for whoever sends turns to the queue."""
    return read(QueueSettings)


_Part = TypeVar("_Part", bound=BaseModel)


def read(part: type[_Part]) -> _Part:
    """A part of the environment. Raises ConfigurationError that names each variable at fault or unknown."""
    variables.check(os.environ)
    # A variable set to nothing means the same as one that is not set.
    names = (field.alias or "" for field in part.model_fields.values())
    given = {name: value for name in names if (value := os.environ.get(name))}
    try:
        return part.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(faults) from None
