"""Each function has exactly the environment variables that it reads."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra_cdk.endpoints import INTERFACES
from infra_cdk.entries import AUTHORIZER, ENTRIES, JWKS, SWEEPER, WITH_GRAPHS, Entry
from infra_cdk.settings import READS
from infra_cdk.stage_catalog import DEPLOYED, ROOT
from infra_cdk.stages import DEV, Stage
from shared.catalog import build
from shared.console_settings import ConsoleSettings
from shared.db.address import Address
from shared.names import Env
from shared.settings import (
    AuthorizerSettings,
    BudgetSettings,
    CatalogSettings,
    Environment,
    HttpSettings,
    OperationsSettings,
    QueueSettings,
    Settings,
    StageSettings,
)
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, text

# Optional variables that the stack sets, because a function would use another resource without them.
EXPECTED = {
    Settings: {Env.STAGE, Env.CATALOG, Env.TURN_MAX_USD, Env.TURNS_PER_MINUTE},
    CatalogSettings: {Env.CATALOG},
    BudgetSettings: {Env.DEFAULT_CAP_USD, Env.PLATFORM_ALLOWANCE_USD},
    QueueSettings: {Env.QUEUE_URL},
    StageSettings: {Env.STAGE},
    HttpSettings: {Env.OPERATOR_ROLE},
    ConsoleSettings: {
        *(Env.CONSOLE_ISSUER, Env.CONSOLE_CLIENT_ID, Env.CONSOLE_SCOPE, Env.CONSOLE_AUTHORIZATION_ENDPOINT),
        *(Env.CONSOLE_TOKEN_ENDPOINT, Env.CONSOLE_END_SESSION_ENDPOINT),
    },
    AuthorizerSettings: {Env.TENANT_CLAIM, Env.ROLES_CLAIM, Env.OPERATOR_ROLE, Env.TENANT_OF_ONE},
}


def told(template: Template, entry: Entry) -> dict[str, str]:
    """Return the environment on AWS, with a value for each reference of the template."""
    variables = template.functions()[entry.name]["Environment"]["Variables"]
    known = {"<AWS::AccountId>": "123456789012", "<AWS::Region>": "eu-central-1", "<AWS::Partition>": "aws"}
    return {name: _realised(text(value), known) for name, value in variables.items()}


def _realised(value: str, known: Mapping[str, str]) -> str:
    for unknown, real in known.items():
        value = value.replace(unknown, real)
    value = re.sub(r"<\w+\.ProviderURL>", "https://cognito-idp.eu-central-1.amazonaws.com/pool", value)
    return re.sub(r"<[^>]+>", "known-on-aws", value)


def aliases(part: type[Environment]) -> set[str]:
    return {field.alias or "" for field in part.model_fields.values()}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
class TestEnvironment:
    def test_each_settings_group_of_a_function_can_be_read(self, template: Template, entry: Entry) -> None:
        for part in READS[entry.name]:
            part.model_validate(told(template, entry))

    def test_part_is_refused_when_a_required_variable_is_missing(self, template: Template, entry: Entry) -> None:
        for part in READS[entry.name]:
            for field in part.model_fields.values():
                if field.is_required():
                    without = {name: value for name, value in told(template, entry).items() if name != field.alias}
                    with pytest.raises(ValidationError, match=str(field.alias)):
                        part.model_validate(without)

    def test_function_has_no_variable_that_it_does_not_read(self, template: Template, entry: Entry) -> None:
        lambdas = {"AWS_LAMBDA_EXEC_WRAPPER", *(service.variable for service in INTERFACES)}
        assert set(told(template, entry)) - lambdas <= set().union(*map(aliases, READS[entry.name]))

    def test_function_has_the_names_of_its_stage_and_resources(self, template: Template, entry: Entry) -> None:
        expected = {name.value for part in READS[entry.name] for name in EXPECTED.get(part, ())}
        assert expected <= set(told(template, entry))

    def test_database_url_has_the_address_of_the_database(self, template: Template, entry: Entry) -> None:
        urls = [value for name, value in told(template, entry).items() if name.endswith("DATABASE_URL")]
        assert len(urls) == (0 if entry is JWKS else 1)
        for address in map(Address.parse, urls):
            assert "iam=" not in address.url
            assert "prepare=" not in address.url
            assert (address.region is not None) is (entry.role is not None)


def test_sweeper_has_no_retention_when_the_stage_sets_none(template: Template) -> None:
    assert not any(Env.RETENTION_DAYS in told(template, entry) for entry in ENTRIES)


def test_sweeper_has_the_retention_of_the_stage(tmp_path: Path) -> None:
    stage = replace(DEV, retention_days=90, implicit_session_days=3)
    template = synthesised(stage, tmp_path)
    assert [entry for entry in ENTRIES if Env.RETENTION_DAYS in told(template, entry)] == [SWEEPER]
    told_days = OperationsSettings.model_validate(told(template, SWEEPER))
    assert (told_days.retention_days, told_days.implicit_session_days) == (90, 3)


def test_functions_that_read_budgets_get_the_limits_of_the_stage(template: Template, stage: Stage) -> None:
    readers = [entry for entry in ENTRIES if BudgetSettings in READS[entry.name]]
    assert {entry.name for entry in readers} == {"admin", "api", "turns", "worker", "reconciler"}
    for entry in readers:
        found = BudgetSettings.model_validate(told(template, entry))
        limits = (stage.default_cap_usd, stage.platform_allowance_usd)
        assert (found.default_cap_usd, found.platform_allowance_usd) == limits


def test_functions_that_run_turns_get_the_cost_cap_and_the_turn_limits(template: Template, stage: Stage) -> None:
    readers = [entry for entry in ENTRIES if Settings in READS[entry.name]]
    assert {entry.name for entry in readers} == {"api", "turns", "worker"}
    for entry in readers:
        found = Settings.model_validate(told(template, entry))
        assert (found.turn_max_usd, found.turns_per_minute) == (stage.turn_usd, stage.turns_per_minute)


def test_http_function_gets_the_origins_of_its_stage(template: Template, stage: Stage) -> None:
    for entry in ENTRIES:
        expected = ",".join(stage.cors_origins) if entry.serves else ""
        assert told(template, entry).get(Env.CORS_ORIGINS, "") == expected


def test_only_the_authorizer_gets_the_issuer_of_tokens(template: Template) -> None:
    of_tokens = {Env.JWT_AUDIENCE, Env.TENANT_CLAIM, Env.ROLES_CLAIM, Env.TENANT_OF_ONE}
    assert [entry for entry in ENTRIES if of_tokens & set(told(template, entry))] == [AUTHORIZER]


def test_table_of_the_test_has_every_function() -> None:
    assert set(READS) == {entry.name for entry in WITH_GRAPHS}


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.asks], ids=lambda entry: entry.name)
def test_functions_that_ask_models_get_the_catalog(template: Template, entry: Entry) -> None:
    settings = Settings.model_validate(told(template, entry))
    assert settings.catalog == DEPLOYED
    here = settings.model_copy(update={"catalog": str(ROOT / DEV.catalog)})
    assert set(build(here)) >= {"fast", "deep"}
