"""Tests the rates of the catalog against an independent price list, for each prompt size of the window."""

from decimal import Decimal

import pytest
from genai_prices import calc_price
from genai_prices.types import Usage as Priced

from shared.catalog import Model, build
from shared.domain.money import Usage, cost
from shared.settings import Settings

PROVIDERS = {"openai": "openai", "bedrock": "aws"}


def models() -> list[Model]:
    return [
        model for provider in PROVIDERS for model in build(Settings.model_construct(llm_provider=provider)).values()
    ]


def listed(model: Model, **tokens: int) -> Decimal:
    return calc_price(Priced(**tokens), model.model_id, provider_id=PROVIDERS[model.provider]).total_price


@pytest.mark.parametrize("model", models(), ids=lambda model: f"{model.provider}-{model.alias}")
def test_rates_equal_the_price_list_for_every_prompt_in_the_window(model: Model) -> None:
    window, most = model.context_window, model.max_output_tokens
    rest = window - most
    assert cost(model.rates, Usage(input_tokens=window)) == listed(model, input_tokens=window)
    assert cost(model.rates, Usage(cache_read_tokens=window)) == listed(
        model, input_tokens=window, cache_read_tokens=window
    )
    assert cost(model.rates, Usage(cache_write_tokens=window)) == listed(
        model, input_tokens=window, cache_write_tokens=window
    )
    hour = {"cache_write_tokens": window, "cache_write_1h_tokens": window - most}
    assert cost(model.rates, Usage(**hour)) == listed(model, input_tokens=window, **hour)
    assert cost(model.rates, Usage(rest, most)) == listed(model, input_tokens=rest, output_tokens=most)
    assert model.rates.reasoning == model.rates.output


def test_model_has_the_name_of_the_price_list() -> None:
    for model in models():
        priced = calc_price(Priced(input_tokens=1), model.model_id, provider_id=PROVIDERS[model.provider])
        assert priced.model.id == model.model_id
        assert model.context_window <= (priced.model.context_window or 0)
