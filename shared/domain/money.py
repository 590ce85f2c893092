"""Token counts and their cost. Money is an exact Decimal in USD, never float."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache

from shared.catalog import Rates

MILLION = Decimal(1_000_000)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more provider calls, by class. The classes do not overlap. `cache_write_1h_tokens` is no class:
    it counts those of `cache_write_tokens` that the cache keeps for an hour."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def as_dict(self) -> dict[str, int]:
        """Return the tokens by class, as a turn shows them. They add up to all tokens."""
        return {name: getattr(self, name) for name in TOKEN_CLASSES}

    def as_counts(self) -> dict[str, int]:
        """Return all counts that a price depends on, as the journal and the ledger store them."""
        return {name: getattr(self, name) for name in COUNTS}


COUNTS = tuple(field.name for field in fields(Usage))
TOKEN_CLASSES = tuple(name for name in COUNTS if name != "cache_write_1h_tokens")


def cost(rates: Rates, usage: Usage) -> Decimal:
    """Return the exact price of `usage` in USD."""
    return (
        usage.input_tokens * rates.input
        + usage.output_tokens * rates.output
        + usage.cache_read_tokens * rates.cache_read
        + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * rates.cache_write
        + usage.cache_write_1h_tokens * _hour_rate(rates)
        + usage.reasoning_tokens * rates.reasoning
    ) / MILLION


def _hour_rate(rates: Rates) -> Decimal:
    return rates.cache_write if rates.cache_write_1h is None else rates.cache_write_1h


def upper_bound(rates: Rates, input_tokens: int, output_tokens: int) -> Decimal:
    """Return the most that a call can cost, in USD, within these token counts."""
    highest_output_rate = max(rates.output, rates.reasoning)
    return (input_tokens * _highest_input_rate(rates) + output_tokens * highest_output_rate) / MILLION


def most_input_within(rates: Rates, amount: Decimal) -> int | None:
    """Return the most input tokens whose `upper_bound` is within `amount`. None if they cost nothing."""
    rate = _highest_input_rate(rates)
    return int(amount * MILLION / rate) if rate else None


def _highest_input_rate(rates: Rates) -> Decimal:
    return max(rates.input, rates.cache_read, rates.cache_write, _hour_rate(rates))


def format_usd(amount: Decimal) -> str:
    """Return a decimal string without exponent and trailing zeros: "0.0001234"."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rates_as_dict(rates: Rates) -> dict[str, str]:
    """Return USD per million tokens of each class as decimal strings, without missing rates."""
    return dict(_written(rates))


@cache
def _written(rates: Rates) -> dict[str, str]:
    given = {name: getattr(rates, name) for name in Rates.__dataclass_fields__}
    return {name: format_usd(rate) for name, rate in given.items() if rate is not None}


def rates_from_dict(written: Mapping[str, str]) -> Rates:
    """Read the rates that `rates_as_dict` wrote, as a call's row has them."""
    return Rates(**{name: Decimal(rate) for name, rate in written.items()})
