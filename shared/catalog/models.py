"""Providers, aliases and their prices as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

# Seconds of the function's time that must remain after a call, to record and publish its outcome.
CALL_MARGIN_S: Final = 3.0
# Lambda's own limit in seconds, which bounds the worker.
WORKER_SECONDS: Final = 900.0

Kind = Literal["bedrock", "openai_compatible", "local", "scripted"]


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of each class. `cache_write_1h` is the rate for a prefix that the cache keeps for an hour,
    None if the provider has none."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    reasoning: Decimal
    cache_write_1h: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """The optional parts of a request that a model takes. None: the file does not say, and the provider's refusals
    decide.

    Attributes:
        stream: Whether the answer can be streamed.
        thinking: Whether the model thinks before it answers; a text is the requested kind of thinking.
        temperature: False: it takes none. A number: the highest that it takes.
        reasoning_effort: The effort that agents' calls request.
        json_schema: Whether an answer can be restricted to a schema.
        max_tokens_parameter: The name of the output cap.
        prompt_cache_key: Whether a server takes a key for prompts with a common beginning.
        cache_minimum: The smallest prefix that Bedrock caches, in tokens. None: requests have no cache points.
    """

    stream: bool | None = None
    thinking: bool | str | None = None
    temperature: bool | float | None = None
    reasoning_effort: str | None = None
    json_schema: bool | None = None
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] | None = None
    prompt_cache_key: bool | None = None
    cache_minimum: int | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A service that answers calls. `api_key` names the key's place: `env:NAME` or `secret:NAME`. `region` is AWS's;
    None for the function's own."""

    name: str
    kind: Kind
    base_url: str | None = None
    api_key: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One alias. `provider` is its provider's name. Windows and caps are in tokens; `max_call_s` is the time limit of
    one provider call in seconds."""

    alias: str
    provider: str
    kind: Kind
    model_id: str
    context_window: int
    max_output_tokens: int
    max_call_s: float
    rates: Rates
    fallback_alias: str | None = None
    dialect: Dialect = field(default=Dialect())


@dataclass(frozen=True, slots=True)
class Catalog(Mapping[str, Model]):
    """The aliases of a deployment by name, in the file's order, and their providers."""

    aliases: Mapping[str, Model]
    providers: Mapping[str, Provider]

    def __getitem__(self, alias: str) -> Model:
        return self.aliases[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases)

    def __len__(self) -> int:
        return len(self.aliases)

    def used(self) -> Mapping[str, Provider]:
        """Return the providers that an alias uses, by name."""
        names = {model.provider for model in self.aliases.values()}
        return {name: provider for name, provider in self.providers.items() if name in names}

    def behind(self, provider: str, model_id: str) -> tuple[Model, ...]:
        return tuple(m for m in self.aliases.values() if (m.provider, m.model_id) == (provider, model_id))
