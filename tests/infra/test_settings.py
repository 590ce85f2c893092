"""Tests that each variable of the functions can be set for a stage, and reaches exactly its readers."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.console_client import ConsoleClient
from infra_cdk.entries import WITH_GRAPHS
from infra_cdk.graphs import StageGraphs
from infra_cdk.settings import FIELDS, LOCAL, MADE, READS, SETTABLE
from infra_cdk.stage_checks import TURN_S
from infra_cdk.stages import DEV, Stage
from shared import console_settings, settings
from shared.names import CliEnv, Env
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import text

ROOT = Path(__file__).parents[2]
# A valid value of each setting that differs from the default.
VALUES: dict[str, Any] = {
    "turn_seconds": 120,
    "max_call_s": 15.5,
    "routing_alias": "deep",
    "summary_alias": "deep",
    "routing_max_tokens": 512,
    "routing_max_agents": 3,
    "summary_max_tokens": 600,
    "summary_after_turns": 8,
    "summary_after_tokens": 3000,
    "turn_max_calls": 60,
    "turn_max_tokens": 50_000,
    "tenant_active_turns": 7,
    "max_agents": 20,
    "max_sessions": 300,
    "max_api_keys": 40,
}
OF_FIELDS: dict[str, Any] = {
    "operator_role": "ops:lead",
    "cors_origins": ("https://a.example.org",),
    "tenant_claim": "org",
    "roles_claim": "groups",
    "tenant_of_one": True,
    "turns_per_minute": 9,
    "default_cap_usd": Decimal(11),
    "platform_allowance_usd": Decimal(2),
    "turn_usd": Decimal(3),
    "retention_days": 90,
    "implicit_session_days": 3,
    "issuer": "https://login.example.org",
    "audience": "council",
    "metrics": "all",
    "console_client": ConsoleClient(
        "council",
        "openid profile",
        "https://login.example.org/in",
        "https://login.example.org/token",
        "https://login.example.org/out",
    ),
    "graphs": StageGraphs({"review": "functions.graphs.examples.review:graph"}),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return the environment of each function of a stage that sets all settings."""
    folder = tmp_path_factory.mktemp("set")
    stage = replace(DEV, **OF_FIELDS, settings=VALUES)
    template = synthesised(stage, folder)
    return {
        name: {key: text(value) for key, value in function["Environment"]["Variables"].items()}
        for name, function in template.functions().items()
    }


def variable(name: str) -> str:
    return f"PANTHEON_{name.upper()}"


def readers(name: str) -> set[str]:
    if name in ("retention_days", "implicit_session_days"):
        # The reconciler reads this part only for its database.
        return {"sweeper"}
    return {function for function, parts in READS.items() if any(name in part.model_fields for part in parts)}


def test_setting_of_a_function_belongs_to_one_group() -> None:
    known = {name for parts in READS.values() for part in parts for name in part.model_fields}
    assert sorted(known) == sorted([*SETTABLE, *FIELDS, *(MADE & known), *(LOCAL & known)])
    assert known >= MADE | LOCAL
    assert set(FIELDS.values()) <= {field.name for field in fields(Stage)}


def test_every_variable_of_the_code_is_in_a_group() -> None:
    assert {name.value for name in Env} == {variable(name) for name in (*SETTABLE, *FIELDS, *MADE, *LOCAL)}


@pytest.mark.parametrize(
    "page", ["limits.md", "security.md", "costs.md", "operations.md", "runbook.md", "reconciliation.md"]
)
def test_every_variable_of_the_docs_can_be_set_for_a_stage(page: str) -> None:
    named = set(re.findall(r"PANTHEON_[A-Z_]+", (ROOT / "docs" / page).read_text())) - {*CliEnv}
    assert named
    assert named <= {variable(name) for name in (*SETTABLE, *FIELDS, *MADE)}, "LOCAL variables have no place here"


@pytest.mark.parametrize("name", sorted(SETTABLE))
def test_a_setting_reaches_exactly_the_functions_that_read_it(told: dict[str, dict[str, str]], name: str) -> None:
    found = {function: known[variable(name)] for function, known in told.items() if variable(name) in known}
    assert found == dict.fromkeys(readers(name), str(VALUES[name]))
    assert found


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"catalog", "roster"}))
def test_a_field_reaches_exactly_the_functions_that_read_it(told: dict[str, dict[str, str]], name: str) -> None:
    if name == "metrics":
        assert not [function for function, known in told.items() if variable(name) in known]
        return
    value = OF_FIELDS[FIELDS[name]]
    if isinstance(value, ConsoleClient):
        value = getattr(value, name.removeprefix("console_"))
    if isinstance(value, StageGraphs):
        value = value.setting
    shown = ",".join(value) if isinstance(value, tuple) else str(value).lower() if value is True else str(value)
    found = {function: known[variable(name)] for function, known in told.items() if variable(name) in known}
    assert found == dict.fromkeys(readers(name), shown)


def test_functions_with_metrics_get_the_list_to_emit(assembly: Any) -> None:
    functions = assembly.templates["dev"].functions()
    found = {name: one["Environment"]["Variables"].get(Env.METRICS) for name, one in functions.items()}
    assert found == {name: None if name == "migrate" else "alarms" for name in functions}


class TestTurnSeconds:
    def test_timeout_of_the_function_follows_the_turn_seconds(self, tmp_path: Path) -> None:
        template = synthesised(replace(DEV, settings={"turn_seconds": 400}), tmp_path)
        assert template.functions()["turns"]["Timeout"] == 460
        assert template.functions()["worker"]["Timeout"] == 900

    def test_a_shorter_turn_occupies_a_process_for_less_time(self) -> None:
        short = replace(DEV, settings={"turn_seconds": 5})
        assert (DEV.turn_s, short.turn_s) == (TURN_S, 5)
        assert short.turns_at_once == DEV.turn_burst + 5 * DEV.turn_rate


# The name of each part's reader in the code.
ACCESSORS = {
    "settings": settings.Settings,
    "console_settings": console_settings.ConsoleSettings,
    "catalog_settings": settings.CatalogSettings,
    "http_settings": settings.HttpSettings,
    "issuer_settings": settings.IssuerSettings,
    "authorizer_settings": settings.AuthorizerSettings,
    "budget_settings": settings.BudgetSettings,
    "quota_settings": settings.QuotaSettings,
    "roster_settings": settings.RosterSettings,
    "graph_settings": settings.GraphSettings,
    "operations_settings": settings.OperationsSettings,
    "operator_settings": settings.OperatorSettings,
    "invocation_log_settings": settings.InvocationLogSettings,
    "migration_settings": settings.MigrationSettings,
    "stage_settings": settings.StageSettings,
    "queue_settings": settings.QueueSettings,
}


def test_table_of_the_test_has_each_reader_of_settings() -> None:
    named = {**vars(settings), **vars(console_settings)}
    read = {name for name, found in named.items() if name.endswith("settings") and callable(found)}
    assert read == set(ACCESSORS)


@pytest.mark.parametrize("entry", WITH_GRAPHS, ids=lambda entry: entry.name)
def test_settings_of_a_function_are_read_by_its_modules(entry: Any) -> None:
    called = {name for module in imported(entry.handler.rpartition(".")[0]) for name in calls(module)}
    read = {ACCESSORS[name] for name in called}
    assert set(READS[entry.name]) <= read | {part for one in read for part in one.__mro__}


@cache
def imported(module: str) -> frozenset[str]:
    """Return our modules that a module imports, directly or indirectly, at its top or in a function."""
    found, open_ = {module}, [module]
    while open_:
        for name in imports(open_.pop()):
            if name not in found:
                found.add(name)
                open_.append(name)
    return frozenset(found)


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                if name.startswith(("functions", "shared")) and path(name) is not None:
                    yield name


def calls(module: str) -> set[str]:
    if module == "shared.settings":
        return set()
    return {
        node.func.id
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ACCESSORS
    }


@cache
def tree(module: str) -> ast.Module:
    found = path(module)
    assert found is not None
    return ast.parse(found.read_text())


def path(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None
