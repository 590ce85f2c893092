"""docs/api.md names every error code and every event of a stream. docs/limits.md has the real defaults."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from shared.domain.turn_events import EventName
from shared.errors import PantheonError
from shared.names import CliEnv, Env
from shared.settings import QuotaSettings, Settings
from tests.support.page_commands import ROOT

PAGE = (ROOT / "docs/api.md").read_text()
LIMITS = (ROOT / "docs/limits.md").read_text()
MOST_WORDS = 1900
# The framework refuses these requests itself.
OF_THE_FRAMEWORK = {"invalid_json", "method_not_allowed"}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def errors(base: type[PantheonError] = PantheonError) -> Iterator[type[PantheonError]]:
    """Every error of shared/errors.py. Graphs have errors of their own, which end a turn and answer no request."""
    yield base
    for error in base.__subclasses__():
        if error.__module__ == PantheonError.__module__:
            yield from errors(error)


def test_table_of_errors_has_each_code_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3})([^|]*)\|", section("Handle errors"), re.MULTILINE)
    told = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert {(error.status, error.code) for error in errors()} == {
        (status, code) for status, code in told if code not in OF_THE_FRAMEWORK
    }
    assert {code for _, code in told} >= OF_THE_FRAMEWORK


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PANTHEON_MAX_AGENTS", QuotaSettings.model_fields["max_agents"].default),
        ("PANTHEON_MAX_SESSIONS", QuotaSettings.model_fields["max_sessions"].default),
        ("PANTHEON_MAX_API_KEYS", QuotaSettings.model_fields["max_api_keys"].default),
        ("PANTHEON_TENANT_ACTIVE_TURNS", Settings.model_fields["tenant_active_turns"].default),
        ("PANTHEON_TURN_MAX_CALLS", Settings.model_fields["turn_max_calls"].default),
        ("PANTHEON_TURN_SECONDS", int(Settings.model_fields["turn_seconds"].default)),
    ],
)
def test_table_of_limits_has_the_default_of_a_variable(variable: str, value: int) -> None:
    (row,) = [line for line in LIMITS.splitlines() if f"`{variable}`" in line]
    assert f"{value:,}" in row


def test_variable_of_the_pages_is_known() -> None:
    named = set(re.findall(r"PANTHEON_[A-Z_]+", PAGE + LIMITS))
    assert named <= {*map(str, Env), *map(str, CliEnv)}


def test_guide_names_the_reference_first() -> None:
    first = PAGE.split("\n\n")[1]
    assert "`/docs`" in first
    assert "`/openapi.json`" in first


def test_guide_is_short() -> None:
    assert len(re.findall(r"\S*\w\S*", PAGE)) <= MOST_WORDS


def test_table_of_events_has_each_event_of_a_stream() -> None:
    told = re.findall(r"^\| `([a-z._]+)` \|", section("Stream a turn"), re.MULTILINE)
    # Deltas have no id and are never stored, so they are no Event.
    assert sorted(told) == sorted([*get_args(EventName), "reply.delta"])
