"""The model aliases: what an agent names, and what stands behind it.

An agent names an alias and never a model, so that a model can be replaced without touching an agent. All aliases of
a deployment belong to the provider that the settings choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import chain
from types import MappingProxyType

from shared.errors import ConfigurationError
from shared.settings import Provider, Settings, settings

# What must be left of the function's time, beyond the call itself, to record and publish its outcome.
CALL_MARGIN_S = 3.0
# Lambda's own limit, and so the longest that the worker can run.
WORKER_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of each class. `cache_write_1h` is for what the cache is to keep for an hour, where the
    provider prices that apart; None where it does not."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    reasoning: Decimal
    cache_write_1h: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One alias. Windows and caps are in tokens; `max_call_s` is the wall clock of one provider call in seconds."""

    alias: str
    provider: Provider
    model_id: str
    context_window: int
    max_output_tokens: int
    max_call_s: float
    rates: Rates
    fallback_alias: str | None = None


def _rates(input_: str, output: str, cache_read: str, cache_write: str, cache_write_1h: str | None = None) -> Rates:
    # No provider here prices reasoning apart from output.
    hour = None if cache_write_1h is None else Decimal(cache_write_1h)
    return Rates(Decimal(input_), Decimal(output), Decimal(cache_read), Decimal(cache_write), Decimal(output), hour)


# The local model costs nothing; these rates are there so that cost can be seen, held and summed on any machine.
_PLAY_FAST = _rates("0.10", "0.40", "0.01", "0.125")
_PLAY_DEEP = _rates("0.50", "2.00", "0.05", "0.625")
# The scripted one can say that something is kept for an hour.
_SCRIPTED_FAST = replace(_PLAY_FAST, cache_write_1h=Decimal("0.20"))
_SCRIPTED_DEEP = replace(_PLAY_DEEP, cache_write_1h=Decimal("1.00"))
_SMOLLM = "smollm2-135m-instruct"

_CATALOGS: Mapping[Provider, tuple[Model, ...]] = {
    "local": (
        # A short window, so that a turn of several agents ends on two busy cores while its client waits: they read
        # about 150 tokens a second, and write 90. The model itself could hold 8192.
        Model("fast", "local", _SMOLLM, 1024, 256, 11.0, _PLAY_FAST),
        Model("deep", "local", _SMOLLM, 1024, 384, 11.0, _PLAY_DEEP),
    ),
    # Source: the provider's price list of 2026-11, standard tier.
    "openai": (
        Model("fast", "openai", "gpt-5-mini", 400_000, 4096, 20.0, _rates("0.25", "2.00", "0.025", "0.25")),
        Model("deep", "openai", "gpt-5", 400_000, 8192, 20.0, _rates("1.25", "10.00", "0.125", "1.25"), "fast"),
    ),
    # Source: AWS's price list and model cards of 2026-11, standard tier. A global profile has no surcharge; one that
    # keeps prompts within a geography costs a tenth more. The models hold and write far more than this: a prompt is to
    # be read, and its answer written, within the call's time.
    "bedrock": (
        # A prompt of more than 100,000 tokens costs five times as much, each token of it. The rest is for counts that
        # were estimated too low.
        Model(
            "fast",
            "bedrock",
            "global.anthropic.claude-haiku-5-5",
            64_000,
            4096,
            20.0,
            _rates("0.10", "0.50", "0.01", "0.125", "0.20"),
        ),
        Model(
            "deep",
            "bedrock",
            "global.anthropic.claude-sonnet-5-5",
            128_000,
            2048,
            20.0,
            _rates("2.00", "10.00", "0.10", "2.50", "4.00"),
            "fast",
        ),
        # The one here whose answers can be held to a schema.
        Model(
            "strict",
            "bedrock",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            128_000,
            2048,
            20.0,
            _rates("1.00", "5.00", "0.10", "1.25", "2.00"),
            "fast",
        ),
        Model(
            "nova",
            "bedrock",
            "global.amazon.nova-2-lite-v1:0",
            128_000,
            4096,
            20.0,
            _rates("0.30", "2.50", "0.075", "0.30"),
            "fast",
        ),
    ),
    "scripted": (
        Model("fast", "scripted", "scripted-fast", 8192, 256, 20.0, _SCRIPTED_FAST),
        Model("deep", "scripted", "scripted-deep", 8192, 384, 20.0, _SCRIPTED_DEEP, "fast"),
    ),
}


def build(values: Settings) -> Mapping[str, Model]:
    """The aliases of a deployment. Raises ConfigurationError for a provider that is not there or a limit that no
    function can keep."""
    models = _CATALOGS.get(values.llm_provider)
    if models is None:
        raise ConfigurationError(f"No model of provider '{values.llm_provider}' is in the catalog yet.")
    for name, alias in (("ROUTING", values.routing_alias), ("SUMMARY", values.summary_alias)):
        if alias not in {model.alias for model in models}:
            raise ConfigurationError(f"PANTHEON_{name}_ALIAS: there is no alias '{alias}'.")
    if values.max_call_s is not None:
        models = tuple(replace(model, max_call_s=values.max_call_s) for model in models)
    for model in models:
        if model.max_call_s + CALL_MARGIN_S > WORKER_SECONDS:
            raise ConfigurationError(f"Alias '{model.alias}' may take longer than the worker can run.")
    return MappingProxyType({model.alias: model for model in models})


def models_behind(provider: str, model_id: str) -> tuple[Model, ...]:
    """The aliases that stand for a model, in whatever deployment; none for a model that is no longer in the catalog."""
    models = chain.from_iterable(_CATALOGS.values())
    return tuple(model for model in models if (model.provider, model.model_id) == (provider, model_id))


@cache
def catalog() -> Mapping[str, Model]:
    """The aliases of this process's settings, in the order in which they are listed."""
    return build(settings())
