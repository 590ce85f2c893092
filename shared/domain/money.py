"""Tokens and what they cost. Money is Decimal in USD, never float, and keeps every digit."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from shared.catalog import Rates

MILLION = Decimal(1_000_000)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more provider calls, by class. The classes do not overlap."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def prompt_tokens(self) -> int:
        """What the prompt took, wherever it was read from."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in TOKEN_CLASSES}


TOKEN_CLASSES = tuple(field.name for field in fields(Usage))


def cost(rates: Rates, usage: Usage) -> Decimal:
    """The exact price of `usage` in USD."""
    return (
        usage.input_tokens * rates.input
        + usage.output_tokens * rates.output
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_tokens * rates.cache_write
        + usage.reasoning_tokens * rates.reasoning
    ) / MILLION


def upper_bound(rates: Rates, input_tokens: int, output_tokens: int) -> Decimal:
    """What a call can cost at most, in USD, while its input and output stay within these counts."""
    dearest_input = max(rates.input, rates.cache_read, rates.cache_write)
    dearest_output = max(rates.output, rates.reasoning)
    return (input_tokens * dearest_input + output_tokens * dearest_output) / MILLION


def format_usd(amount: Decimal) -> str:
    """A decimal string without exponent and without trailing zeros: "0.0001234"."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rates_as_dict(rates: Rates) -> dict[str, str]:
    """USD per million tokens of each class, as decimal strings."""
    return {name: format_usd(getattr(rates, name)) for name in Rates.__dataclass_fields__}


def rates_from_dict(written: Mapping[str, str]) -> Rates:
    """The rates that `rates_as_dict` wrote, as they stand on a call's row."""
    return Rates(**{name: Decimal(rate) for name, rate in written.items()})
