"""Tests that a request omits for a while the parts that its alias refused, and bounds the temperature."""

from dataclasses import replace

import pytest

from shared.catalog import Dialect
from shared.llm.dialects import KNOWN_S, STREAM, Dialects, is_streamed, temperature
from tests.support.fake_provider.calls import model, request


def test_a_refused_part_is_sent_again_after_an_hour() -> None:
    now = [0.0]
    dialects = Dialects(lambda: now[0])
    assert dialects.learn("fast", "temperature")
    now[0] = KNOWN_S / 2
    assert dialects.learn("fast", "thinking")
    assert dialects.refused("fast") == {"temperature", "thinking"}
    now[0] = KNOWN_S
    assert dialects.refused("fast") == {"thinking"}


def test_part_that_causes_an_unknown_outcome_is_left_out_permanently() -> None:
    now = [0.0]
    dialects = Dialects(lambda: now[0])
    dialects.learn_for_good("fast", STREAM)
    # A refusal that comes later does not shorten it.
    dialects.learn("fast", STREAM)
    now[0] = 1000 * KNOWN_S
    assert dialects.refused("fast") == {STREAM}
    assert not is_streamed(request(), dialects.refused("fast"))
    assert is_streamed(request(), dialects.refused("deep"))


@pytest.mark.parametrize(
    ("takes", "wanted", "sent"),
    [(None, 1.9, 1.9), (1.0, 1.9, 1.0), (1.0, 0.2, 0.2), (False, 0.2, None), (1.0, None, None)],
)
def test_a_temperature_is_at_most_the_highest_that_the_alias_takes(
    takes: bool | float | None, wanted: float | None, sent: float | None
) -> None:
    spoken = replace(model(), dialect=Dialect(temperature=takes))
    assert temperature(request(model=spoken, temperature=wanted), ()) == sent
