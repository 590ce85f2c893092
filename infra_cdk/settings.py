"""List the settings that each function reads, and the settings that a stage sets by name.

Each variable is in one of four groups: `FIELDS` of a stage, `MADE` by the stack, `LOCAL` to `pantheon run`, or settable
in `settings` of a stage. A test checks that the groups are complete.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from infra_cdk.entries import Entry
from shared.console_settings import ConsoleSettings
from shared.settings import (
    AuthorizerSettings,
    BudgetSettings,
    CatalogSettings,
    Environment,
    GraphSettings,
    HttpSettings,
    InvocationLogSettings,
    IssuerSettings,
    MigrationSettings,
    OperationsSettings,
    OperatorSettings,
    QueueSettings,
    QuotaSettings,
    RosterSettings,
    Settings,
    StageSettings,
)

Setting = int | float | str
# The parts of the environment that each function reads at its start.
READS: Final[Mapping[str, tuple[type[Environment], ...]]] = MappingProxyType(
    {
        "admin": (StageSettings, HttpSettings, BudgetSettings, OperatorSettings),
        "api": (
            *(StageSettings, HttpSettings, ConsoleSettings, BudgetSettings, QuotaSettings, RosterSettings),
            *(Settings, GraphSettings),
        ),
        "turns": (StageSettings, HttpSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "authorizer": (StageSettings, AuthorizerSettings),
        "jwks": (StageSettings, IssuerSettings),
        "worker": (StageSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "graphs": (StageSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "sweeper": (StageSettings, OperationsSettings, QueueSettings),
        "reconciler": (StageSettings, BudgetSettings, OperationsSettings, CatalogSettings, InvocationLogSettings),
        "migrate": (MigrationSettings,),
    }
)
# The field of `Stage` that sets each setting.
FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name: name
            for name in (
                *("operator_role", "cors_origins", "tenant_claim", "roles_claim", "tenant_of_one", "catalog", "roster"),
                *("turns_per_minute", "default_cap_usd", "platform_allowance_usd", "retention_days"),
                *("implicit_session_days", "metrics", "graphs"),
            )
        },
        "turn_max_usd": "turn_usd",
        "jwt_issuer": "issuer",
        "jwt_audience": "audience",
        "console_issuer": "issuer",
        **{name: "console_client" for name in ConsoleSettings.model_fields if name != "console_issuer"},
    }
)
# The stack sets these: addresses of its resources, and the stage's name.
MADE: Final = frozenset(
    (
        *("stage", "app_database_url", "ops_database_url", "operator_database_url", "auth_database_url"),
        *("owner_database_url", "owner_secret_arn", "queue_url", "graphs_queue_url", "jwks_url", "invocation_log"),
    )
)
# On AWS, the catalog replaces these.
LOCAL: Final = frozenset(("llm_provider", "llm_base_url", "llm_api_key", "local_model_url", "local_model_key"))
# API Gateway's 15 minutes for a streamed answer, less a minute for publishing.
LONGEST_TURN_S: Final = 840.0


def _settable() -> dict[str, tuple[object, None]]:
    """Return the types of the settings that a stage sets by name."""
    parts = {part for read in READS.values() for part in read}
    return {
        name: (field.rebuild_annotation(), None)
        for part in sorted(parts, key=lambda part: part.__name__)
        for name, field in part.model_fields.items()
        if name not in {*FIELDS, *MADE, *LOCAL}
    }


SETTABLE: Final = frozenset(_settable())
_Values: type[BaseModel] = create_model(  # type: ignore[call-overload]
    "Values", __config__=ConfigDict(extra="forbid"), **_settable()
)


def check(stage: str, values: Mapping[str, Setting]) -> None:
    """Raise ValueError with one line that names the setting unless the functions accept all `values`."""
    for name in values:
        if name in FIELDS:
            raise ValueError(f"Stage {stage}: settings.{name} is the field {FIELDS[name]} of the stage.")
        if name in MADE | LOCAL:
            raise ValueError(f"Stage {stage}: settings.{name} cannot be set; the stack or the catalog sets it.")
    try:
        _Values.model_validate({name: str(value) for name, value in values.items()})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        said = "is not known" if first["type"] == "extra_forbidden" else first["msg"].replace("Input should", "must")
        raise ValueError(f"Stage {stage}: settings.{name} {said}") from None
    if turn_seconds(values) > LONGEST_TURN_S:
        raise ValueError(f"Stage {stage}: settings.turn_seconds must be at most {LONGEST_TURN_S:.0f} on AWS.")


def turn_seconds(values: Mapping[str, Setting]) -> float:
    """Return the seconds that a turn may run in the function that answers."""
    return float(values.get("turn_seconds", Settings.model_fields["turn_seconds"].default))


def told(entry: Entry, values: Mapping[str, Setting]) -> dict[str, str]:
    """Return the variables of `values` that the function reads."""
    read = {name: field.alias or "" for part in READS[entry.name] for name, field in part.model_fields.items()}
    return {read[name]: str(value) for name, value in values.items() if name in read}
