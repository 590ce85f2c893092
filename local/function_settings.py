"""Choose the environment of each function on this machine: only the settings that it reads, as on AWS.

Only functions that call models get provider keys or AWS credentials.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.catalog import Catalog
from shared.console_settings import ConsoleSettings
from shared.names import Env
from shared.settings import (
    AuthorizerSettings,
    BudgetSettings,
    Environment,
    GraphSettings,
    HttpSettings,
    OperationsSettings,
    OperatorSettings,
    QueueSettings,
    QuotaSettings,
    RosterSettings,
    Settings,
    StageSettings,
)

# The parts of the environment that each function reads. A test compares them with the functions on AWS.
READS: Final[Mapping[str, tuple[type[Environment], ...]]] = MappingProxyType(
    {
        "admin": (StageSettings, HttpSettings, BudgetSettings, OperatorSettings),
        "api": (
            *(StageSettings, HttpSettings, ConsoleSettings, BudgetSettings, QuotaSettings, RosterSettings),
            *(Settings, GraphSettings),
        ),
        "turns": (StageSettings, HttpSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "authorizer": (StageSettings, AuthorizerSettings),
        "worker": (StageSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "graphs": (StageSettings, BudgetSettings, Settings, QueueSettings, GraphSettings),
        "sweeper": (StageSettings, OperationsSettings, QueueSettings),
    }
)
ASKS: Final = frozenset(("turns", "worker", "graphs"))
# The API function also reads `Settings`, and calls no model.
TO_ASK: Final = frozenset(
    (Env.LLM_BASE_URL.value, Env.LLM_API_KEY.value, Env.LOCAL_MODEL_URL.value, Env.LOCAL_MODEL_KEY.value)
)
# The stack sets the database URL of each function, with its role.
_DATABASE: Final = re.compile(r"PANTHEON_\w*DATABASE_URL")
# A Python process needs these to start.
_PROCESS: Final = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|PYTHONPATH|PYTHONPYCACHEPREFIX|LD_LIBRARY_PATH")
# For connections to providers. A proxy's address may have a password.
_NETWORK: Final = re.compile(r"SSL_CERT_(FILE|DIR)|(?i:(https?|all|no)_proxy)")
_AWS: Final = re.compile(r"AWS_\w+")


def told(function: str, given: Mapping[str, str], catalog: Catalog) -> dict[str, str]:
    """Return the variables of `given`, the user's and ours, that the function gets, without its database."""
    return {name: value for name, value in given.items() if _is_told(function, name, catalog)}


def variables(function: str) -> frozenset[str]:
    """Return the names of the settings that the function gets, without its database."""
    read = {field.alias or "" for part in READS[function] for field in part.model_fields.values()}
    kept_from_it = frozenset() if function in ASKS else TO_ASK
    return frozenset(name for name in read - kept_from_it if not _DATABASE.fullmatch(name))


def _is_told(function: str, name: str, catalog: Catalog) -> bool:
    if function in ASKS:
        providers = catalog.used().values()
        keys = {each.api_key for each in providers if each.api_key}
        if _NETWORK.fullmatch(name) or f"env:{name}" in keys:
            return True
        needs_aws = any(each.kind == "bedrock" for each in providers) or any(key.startswith("secret:") for key in keys)
        if needs_aws and _AWS.fullmatch(name):
            return True
    return name in variables(function) or bool(_PROCESS.fullmatch(name))
