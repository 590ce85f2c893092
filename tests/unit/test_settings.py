"""Tests how settings are read from the environment: defaults, limits, and errors without the value."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from shared.console_settings import console_settings
from shared.errors import ConfigurationError
from shared.names import Env
from shared.settings import (
    Environment,
    authorizer_settings,
    budget_settings,
    graph_settings,
    http_settings,
    invocation_log_settings,
    issuer_settings,
    migration_settings,
    operations_settings,
    operator_settings,
    queue_settings,
    quota_settings,
    roster_settings,
    settings,
    stage_settings,
)

# Each part of the environment that some function reads.
PARTS = (
    settings,
    authorizer_settings,
    budget_settings,
    console_settings,
    http_settings,
    invocation_log_settings,
    operations_settings,
    queue_settings,
    quota_settings,
)


def test_required_variables_are_sufficient(environment: pytest.MonkeyPatch) -> None:
    for name in (Env.STAGE, Env.LLM_PROVIDER):
        environment.delenv(name)
    values = settings()
    assert (values.stage, values.llm_provider, values.turn_seconds) == ("local", "local", 240.0)
    assert (values.llm_base_url, values.llm_api_key, values.max_call_s) == (None, None, None)


def test_every_variable_is_read(environment: pytest.MonkeyPatch) -> None:
    given = {
        Env.STAGE: "prod",
        Env.APP_DATABASE_URL: "postgresql://app@db/pantheon",
        Env.CATALOG: "models.toml",
        Env.LLM_PROVIDER: "openai",
        Env.LLM_BASE_URL: "https://models/v1",
        Env.LLM_API_KEY: "key",
        Env.LOCAL_MODEL_URL: "http://127.0.0.1:1/v1",
        Env.LOCAL_MODEL_KEY: "key",
        Env.TURN_SECONDS: "12.5",
        Env.MAX_CALL_S: "3",
        Env.ROUTING_ALIAS: "deep",
        Env.ROUTING_MAX_TOKENS: "128",
        Env.ROUTING_MAX_AGENTS: "2",
        Env.SUMMARY_ALIAS: "deep",
        Env.SUMMARY_MAX_TOKENS: "300",
        Env.SUMMARY_AFTER_TURNS: "5",
        Env.SUMMARY_AFTER_TOKENS: "900",
        Env.TURN_MAX_CALLS: "40",
        Env.TURN_MAX_TOKENS: "100000",
        Env.TURN_MAX_USD: "2.5",
        Env.TURNS_PER_MINUTE: "60",
        Env.TENANT_ACTIVE_TURNS: "7",
    }
    of_budgets = {Env.DEFAULT_CAP_USD: "250", Env.PLATFORM_ALLOWANCE_USD: "7.5"}
    of_quotas = {Env.MAX_AGENTS: "3", Env.MAX_SESSIONS: "4", Env.MAX_API_KEYS: "5"}
    of_new_tenants = {Env.ROSTER: "/etc/pantheon/roster.toml"}
    of_graphs = {Env.GRAPHS: "tools=examples.tools:graph"}
    of_operations = {
        Env.OPS_DATABASE_URL: "postgresql://ops@db/pantheon",
        Env.OPERATOR_DATABASE_URL: "postgresql://operator@db/pantheon",
        Env.RETENTION_DAYS: "30",
        Env.IMPLICIT_SESSION_DAYS: "3",
        Env.INVOCATION_LOG: "s3://logs/council/AWSLogs/123456789012/BedrockModelInvocationLogs/eu-central-1",
        Env.QUEUE_URL: "https://sqs.eu-central-1.amazonaws.com/123456789012/turns",
        Env.GRAPHS_QUEUE_URL: "https://sqs.eu-central-1.amazonaws.com/123456789012/graphs",
    }
    of_the_owner = {Env.OWNER_DATABASE_URL: "postgresql://db/pantheon", Env.OWNER_SECRET_ARN: "arn:of:the:secret"}
    of_the_stage = {Env.METRICS: "alarms"}
    of_http = {Env.CORS_ORIGINS: "https://chat.example.org", Env.OPERATOR_ROLE: "ops"}
    of_the_authorizer = {
        Env.JWT_ISSUER: "https://issuer",
        Env.JWT_AUDIENCE: "council",
        Env.JWKS_URL: "s3://keys/jwks.json",
        Env.AUTH_DATABASE_URL: "postgresql://auth@db/pantheon",
        Env.TENANT_CLAIM: "custom:tenant",
        Env.ROLES_CLAIM: "cognito:groups",
        Env.TENANT_OF_ONE: "true",
    }
    of_the_console = {
        Env.CONSOLE_ISSUER: "https://issuer",
        Env.CONSOLE_CLIENT_ID: "console",
        Env.CONSOLE_SCOPE: "openid",
        Env.CONSOLE_AUTHORIZATION_ENDPOINT: "https://login/authorize",
        Env.CONSOLE_TOKEN_ENDPOINT: "https://login/token",
        Env.CONSOLE_END_SESSION_ENDPOINT: "https://login/logout",
    }
    others = {
        **of_the_console,
        **of_budgets,
        **of_quotas,
        **of_operations,
        **of_the_owner,
        **of_http,
        **of_the_authorizer,
        **of_new_tenants,
        **of_graphs,
        **of_the_stage,
    }
    assert {*given, *others} == set(Env)
    for name, value in others.items():
        environment.setenv(name, value)
    for name, value in given.items():
        environment.setenv(name, value)
    read = {f"PANTHEON_{name.upper()}": value for name, value in settings().model_dump().items()}
    counts = {name: int(value) for name, value in given.items() if value.isdecimal()}
    assert read == {**given, **counts, Env.TURN_SECONDS: 12.5, Env.MAX_CALL_S: 3.0, Env.TURN_MAX_USD: Decimal("2.5")}
    assert operations_settings().ops_database_url == of_operations[Env.OPS_DATABASE_URL]
    assert (operations_settings().retention_days, operations_settings().implicit_session_days) == (30, 3)
    assert operator_settings().operator_database_url == of_operations[Env.OPERATOR_DATABASE_URL]
    budgets = budget_settings()
    assert (budgets.default_cap_usd, budgets.platform_allowance_usd) == (Decimal(250), Decimal("7.5"))
    quotas = {f"PANTHEON_{name.upper()}": str(value) for name, value in quota_settings().model_dump().items()}
    assert quotas == of_quotas
    console = {f"PANTHEON_{name.upper()}": value for name, value in console_settings().model_dump().items()}
    assert console == of_the_console
    assert roster_settings().roster == of_new_tenants[Env.ROSTER]
    assert graph_settings().graphs == of_graphs[Env.GRAPHS]
    assert (stage_settings().stage, stage_settings().metrics) == ("prod", "alarms")
    owner = migration_settings()
    assert (owner.owner_database_url, owner.owner_secret_arn) == tuple(of_the_owner.values())
    queues = queue_settings()
    assert queues.queue_url == of_operations[Env.QUEUE_URL]
    assert queues.graphs_queue_url == of_operations[Env.GRAPHS_QUEUE_URL]
    log = invocation_log_settings()
    assert (log.invocation_log, log.stage) == (of_operations[Env.INVOCATION_LOG], "prod")
    http = http_settings()
    assert (http.cors_origins, http.operator_role) == tuple(of_http.values())
    authorizer = {f"PANTHEON_{name.upper()}": value for name, value in authorizer_settings().model_dump().items()}
    assert authorizer == of_the_authorizer | {Env.TENANT_OF_ONE: True, Env.OPERATOR_ROLE: "ops"}
    assert (issuer_settings().jwt_issuer, issuer_settings().jwks_url) == ("https://issuer", "s3://keys/jwks.json")


@pytest.mark.parametrize("read", [operations_settings, operator_settings, invocation_log_settings, migration_settings])
def test_function_across_tenants_needs_one_variable(
    environment: pytest.MonkeyPatch, read: Callable[[], Environment]
) -> None:
    for name in Env:
        environment.delenv(name, raising=False)
    with pytest.raises(ConfigurationError) as refused:
        read()
    assert len(refused.value.detail.split("; ")) == 1


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "36501"])
def test_retention_is_a_number_of_days(environment: pytest.MonkeyPatch, days: str) -> None:
    environment.setenv(Env.OPS_DATABASE_URL, "postgresql://ops@db/pantheon")
    assert operations_settings().retention_days is None
    operations_settings.cache_clear()
    environment.setenv(Env.RETENTION_DAYS, days)
    with pytest.raises(ConfigurationError, match=f"^{Env.RETENTION_DAYS}: "):
        operations_settings()


@pytest.mark.parametrize("url", ["logs/AWSLogs", "s3://logs", "s3://logs/", "s3://logs//AWSLogs", "s3://logs/AWSLogs/"])
def test_log_without_a_place_in_a_bucket_is_refused(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv(Env.INVOCATION_LOG, url)
    with pytest.raises(ConfigurationError, match=f"^{Env.INVOCATION_LOG}: "):
        invocation_log_settings()


def test_queue_url_is_none_when_it_is_unset(environment: pytest.MonkeyPatch) -> None:
    assert queue_settings().queue_url is None


def test_environment_is_read_once(environment: pytest.MonkeyPatch) -> None:
    first = settings()
    environment.setenv(Env.STAGE, "other")
    assert settings() is first


def test_authorizer_has_no_database_of_tenants(environment: pytest.MonkeyPatch) -> None:
    environment.delenv(Env.APP_DATABASE_URL)
    environment.setenv(Env.JWT_ISSUER, "https://issuer")
    environment.setenv(Env.JWT_AUDIENCE, "council")
    environment.setenv(Env.JWKS_URL, "s3://keys/jwks.json")
    environment.setenv(Env.AUTH_DATABASE_URL, "postgresql://pantheon_auth@db/pantheon")
    values = authorizer_settings()
    assert (values.tenant_claim, values.roles_claim) == ("tenant_id", "roles")
    assert (values.operator_role, values.tenant_of_one) == ("pantheon:operator", False)


@pytest.mark.parametrize("role", ["member", "admin"])
def test_role_that_every_tenant_has_is_refused_for_operators(environment: pytest.MonkeyPatch, role: str) -> None:
    environment.setenv(Env.OPERATOR_ROLE, role)
    with pytest.raises(ConfigurationError, match=f"^{Env.OPERATOR_ROLE}: "):
        http_settings()


@pytest.mark.parametrize("url", ["s3://keys/", "https://issuer/jwks.json", "/jwks.json", "file://jwks.json", "s3:///a"])
def test_keys_are_read_from_a_bucket_or_a_file(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv(Env.JWT_ISSUER, "https://issuer")
    environment.setenv(Env.JWKS_URL, url)
    with pytest.raises(ConfigurationError, match=Env.JWKS_URL):
        issuer_settings()


def test_unrelated_variables_are_ignored(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PANTHEON_PORT", "no number")
    environment.setenv("stage", "lower")
    assert settings().stage == "unit"


def test_settings_cannot_be_changed(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().stage = "other"


def test_a_missing_variable_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv(Env.APP_DATABASE_URL)
    with pytest.raises(ConfigurationError, match=f"^{Env.APP_DATABASE_URL}: "):
        settings()


@pytest.mark.parametrize("name", [Env.JWT_ISSUER, Env.JWT_AUDIENCE, Env.JWKS_URL, Env.AUTH_DATABASE_URL])
def test_a_missing_variable_of_the_authorizer_is_named(environment: pytest.MonkeyPatch, name: Env) -> None:
    given = {Env.JWT_ISSUER: "i", Env.JWT_AUDIENCE: "a", Env.JWKS_URL: "s3://keys/k", Env.AUTH_DATABASE_URL: "d"}
    for variable, value in given.items():
        environment.setenv(variable, value)
    environment.delenv(name)
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        authorizer_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Env.LLM_PROVIDER, "s3cret"),
        (Env.TURN_SECONDS, "s3cret"),
        (Env.TURN_SECONDS, "0"),
        (Env.TURN_SECONDS, "-1"),
        (Env.TURN_SECONDS, "900.1"),
        (Env.TURN_SECONDS, "nan"),
        (Env.TURN_SECONDS, "inf"),
        (Env.MAX_CALL_S, "s3cret"),
        (Env.MAX_CALL_S, "0"),
        (Env.MAX_CALL_S, "901"),
        (Env.TURN_MAX_CALLS, "-1"),
        (Env.TURN_MAX_TOKENS, "1.5"),
        (Env.TURN_MAX_USD, "-0.01"),
        (Env.TURN_MAX_USD, "NaN"),
        (Env.TURNS_PER_MINUTE, "s3cret"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name(environment: pytest.MonkeyPatch, name: Env, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        settings()
    assert refused.value.detail.startswith(f"{name}")
    assert "s3cret" not in refused.value.detail
    # A chained error would carry the values of every variable into a trace.
    assert refused.value.__cause__ is None


def test_every_fault_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv(Env.APP_DATABASE_URL)
    environment.setenv(Env.TURN_SECONDS, "soon")
    with pytest.raises(ConfigurationError) as refused:
        settings()
    named = [fault.partition(":")[0] for fault in refused.value.detail.split("; ")]
    assert named == [Env.APP_DATABASE_URL, Env.TURN_SECONDS]


@pytest.mark.parametrize("name", list(Env))
def test_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch, name: Env) -> None:
    def outcome(part: Any) -> Environment | str:
        part.cache_clear()
        try:
            return cast(Environment, part())
        except ConfigurationError as error:
            return error.detail.partition(":")[0]

    environment.delenv(name, raising=False)
    unset = [outcome(part) for part in PARTS]
    environment.setenv(name, "")
    assert [outcome(part) for part in PARTS] == unset
