"""Tests that tokens, rates and prices are exact, additive and printable."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from shared.catalog import Rates
from shared.domain.money import (
    COUNTS,
    TOKEN_CLASSES,
    ZERO,
    Usage,
    cost,
    format_usd,
    rates_as_dict,
    rates_from_dict,
    upper_bound,
)

RATES = Rates(Decimal("0.25"), Decimal("2.00"), Decimal("0.025"), Decimal("0.3"), Decimal("4"))
BY_TIME = replace(RATES, cache_write_1h=Decimal("0.5"))


def test_usage_adds_class_by_class() -> None:
    assert Usage(1, 2, 3, 4, 5, 4) + Usage(10, 20, 30, 40, 50, 9) == Usage(11, 22, 33, 44, 55, 13)
    assert sum([Usage(1), Usage(0, 1), Usage(2)], Usage()) == Usage(3, 1)
    assert sum([], Usage()) == Usage(0, 0, 0, 0, 0)


def test_usage_names_its_classes() -> None:
    assert Usage(1, 2, 3, 4, 5, 3).as_dict() == {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_tokens": 3,
        "cache_write_tokens": 4,
        "reasoning_tokens": 5,
    }
    assert tuple(Usage().as_dict()) == TOKEN_CLASSES
    assert Usage(1, 2, 3, 4, 5, 3).as_counts() == Usage(1, 2, 3, 4, 5).as_dict() | {"cache_write_1h_tokens": 3}


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(), "0"),
        (Usage(input_tokens=1), "0.00000025"),
        (Usage(output_tokens=1), "0.000002"),
        (Usage(cache_read_tokens=1), "0.000000025"),
        (Usage(cache_write_tokens=1), "0.0000003"),
        (Usage(reasoning_tokens=1), "0.000004"),
        (Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000), "6.575"),
        (Usage(412, 96, 7, 5, 3), "0.000308675"),
        # All that Postgres can count: no digit is lost.
        (Usage(input_tokens=2**63 - 1), "2305843009213.69395175"),
    ],
)
def test_a_price_is_exact(usage: Usage, usd: str) -> None:
    price = cost(RATES, usage)
    assert isinstance(price, Decimal)
    assert price == Decimal(usd)


@pytest.mark.parametrize(
    ("rates", "for_an_hour", "usd"),
    [(BY_TIME, 0, "0.000003"), (BY_TIME, 4, "0.0000038"), (BY_TIME, 10, "0.000005"), (RATES, 10, "0.000003")],
)
def test_cache_write_for_an_hour_has_its_own_rate_when_one_is_set(rates: Rates, for_an_hour: int, usd: str) -> None:
    assert cost(rates, Usage(cache_write_tokens=10, cache_write_1h_tokens=for_an_hour)) == Decimal(usd)


def test_prices_add_up_to_the_price_of_the_sum() -> None:
    chance = random.Random(11)
    calls = [Usage(*(chance.randrange(10_000) for _ in TOKEN_CLASSES)) for _ in range(1000)]
    assert sum((cost(RATES, usage) for usage in calls), ZERO) == cost(RATES, sum(calls, Usage()))


def test_the_upper_bound_covers_every_usage_within_it() -> None:
    chance = random.Random(13)

    def split(total: int, parts: int) -> list[int]:
        cuts = sorted(chance.randrange(total + 1) for _ in range(parts - 1))
        return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]

    for _ in range(2000):
        rates = Rates(*(Decimal(chance.randrange(100_000)) / 1000 for _ in range(chance.choice((5, 6)))))
        most_input, most_output = chance.randrange(500_000), chance.randrange(100_000)
        read, write, input_ = split(chance.randint(0, most_input), 3)
        reasoning, output = split(chance.randint(0, most_output), 2)
        usage = Usage(input_, output, read, write, reasoning, chance.randint(0, write))
        assert cost(rates, usage) <= upper_bound(rates, most_input, most_output)


@pytest.mark.parametrize("expensive", Rates.__dataclass_fields__)
def test_the_upper_bound_is_reached_by_the_most_expensive_class(expensive: str) -> None:
    rates = Rates(**{name: Decimal(9 if name == expensive else 1) for name in Rates.__dataclass_fields__})
    usage = Usage(**{name: 1000 if name == f"{expensive}_tokens" else 0 for name in COUNTS})
    usage = replace(usage, cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens)
    of_input = expensive not in ("output", "reasoning")
    bound = upper_bound(rates, 1000, 0) if of_input else upper_bound(rates, 0, 1000)
    assert cost(rates, usage) == bound == Decimal("0.009")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("0.00", "0"),
        ("0E-12", "0"),
        ("0E+3", "0"),
        ("1E+3", "1000"),
        ("1E-10", "0.0000000001"),
        ("100", "100"),
        ("100.00", "100"),
        ("10", "10"),
        ("0.10", "0.1"),
        ("0.0001234", "0.0001234"),
        ("0.00012340", "0.0001234"),
        ("123456789012345678901234567890.123", "123456789012345678901234567890.123"),
        ("-0.50", "-0.5"),
    ],
)
def test_money_is_printed_without_exponent_and_trailing_zeros(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text
    assert Decimal(format_usd(Decimal(amount))) == Decimal(amount)


def test_rates_are_printed_by_class() -> None:
    expected = {"input": "0.25", "output": "2", "cache_read": "0.025", "cache_write": "0.3", "reasoning": "4"}
    assert rates_as_dict(RATES) == expected
    assert rates_from_dict(expected) == RATES
    assert rates_as_dict(BY_TIME) == expected | {"cache_write_1h": "0.5"}
    assert rates_from_dict(rates_as_dict(BY_TIME)) == BY_TIME


def test_usage_and_rates_have_the_same_classes() -> None:
    assert [name.removesuffix("_tokens") for name in COUNTS] == list(Rates.__dataclass_fields__)
