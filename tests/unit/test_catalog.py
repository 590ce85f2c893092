"""Tests the aliases of a deployment and the limits on them."""

from decimal import Decimal
from typing import Any, get_args

import pytest

from shared.catalog import CALL_MARGIN_S, WORKER_SECONDS, build, catalog
from shared.errors import ConfigurationError
from shared.names import Env
from shared.settings import LlmProvider, Settings

PROVIDERS = get_args(LlmProvider)


def settings(provider: str, max_call_s: float | None = None) -> Settings:
    return Settings.model_construct(llm_provider=provider, max_call_s=max_call_s)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_the_two_common_aliases_and_sound_figures(provider: str) -> None:
    models = build(settings(provider))
    assert list(models)[:2] == ["fast", "deep"]
    for alias, model in models.items():
        assert (model.alias, model.provider) == (alias, provider)
        assert 0 < model.max_output_tokens < model.context_window
        assert 0 < model.max_call_s <= WORKER_SECONDS - CALL_MARGIN_S
        *rates, hour = (getattr(model.rates, name) for name in model.rates.__dataclass_fields__)
        rates += [] if hour is None else [hour]
        assert all(isinstance(rate, Decimal) and rate >= 0 for rate in rates)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_fallback_is_another_alias_without_a_fallback(provider: str) -> None:
    models = build(settings(provider))
    for model in models.values():
        if model.fallback_alias is not None:
            assert model.fallback_alias != model.alias
            assert models[model.fallback_alias].fallback_alias is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_setting_overrides_the_time_limit_of_every_alias(provider: str) -> None:
    assert {model.max_call_s for model in build(settings(provider, 2.5)).values()} == {2.5}


def test_alias_with_a_longer_time_limit_than_the_workers_is_refused() -> None:
    longest = WORKER_SECONDS - CALL_MARGIN_S
    assert build(settings("scripted", longest))["fast"].max_call_s == longest
    with pytest.raises(ConfigurationError, match="PANTHEON_MAX_CALL_S"):
        build(settings("scripted", longest + 0.1))


def test_catalog_is_read_only() -> None:
    models: Any = build(settings("scripted"))
    for table in (models, models.aliases, models.providers):
        with pytest.raises(TypeError):
            table["fast"] = None
    with pytest.raises(AttributeError):
        models["fast"].max_call_s = 1


def test_catalog_is_built_once_in_a_process(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(Env.LLM_PROVIDER, "openai")
    environment.setenv(Env.MAX_CALL_S, "7")
    models = catalog()
    assert (models["deep"].model_id, models["deep"].max_call_s) == ("gpt-5", 7.0)
    assert catalog() is models
