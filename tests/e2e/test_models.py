"""Tests models of several providers in one council, and `pantheon models`."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import agent, environ, open_client
from tests.support.stack.two_providers import CATALOG, KEYS

PANTHEON = [sys.executable, "-c", "import sys; from local.cli import main; sys.exit(main())"]
TIMEOUT_S = 60.0


@pytest.fixture
def providers() -> Iterator[dict[str, FakeProvider]]:
    with FakeProvider() as north, FakeProvider() as south:
        yield {"north": north, "south": south}


@pytest.fixture
def variables(providers: dict[str, FakeProvider], tmp_path: Path) -> dict[str, str]:
    """An environment with a catalog of two providers, each with a key of its own."""
    file = tmp_path / "models.toml"
    file.write_text(CATALOG.format(**{name: provider.url for name, provider in providers.items()}))
    keys = {f"{name.upper()}_KEY": key for name, key in KEYS.items()}
    return environ(tmp_path / "data", catalog=file) | keys


def models(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PANTHEON, "models", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_a_roundtable_of_two_providers_asks_each_for_its_own_model_with_its_own_key(
    providers: dict[str, FakeProvider], variables: dict[str, str]
) -> None:
    providers["north"].add(moods.ok("Go north."))
    providers["south"].add(moods.ok("Go south."))
    with Stack.start(variables) as stack, open_client(stack.url, stack.token("acme", "ada")) as http:
        for key, alias in (("ann", "fast"), ("bob", "deep")):
            assert http.post("agents", json=agent(key, model_alias=alias)).status_code == 201
        made = http.post("sessions", json={"mode": "roundtable", "agent_keys": ["ann", "bob"]}).json()
        turn = http.post(f"sessions/{made['id']}/turns", json={"message": "Where to?"}).json()
        shown = {item["alias"]: item["provider"] for item in http.get("models").json()["items"]}
    assert [(reply["text"], reply["model_alias"]) for reply in turn["replies"]] == [
        ("Go north.", "fast"),
        ("Go south.", "deep"),
    ]
    assert shown == {"fast": "north", "deep": "south"}
    for name, model in (("north", "aurora"), ("south", "penguin")):
        (row,) = providers[name].rows
        assert (row.model, row.authorization) == (model, f"Bearer {KEYS[name]}")


def test_the_list_shows_each_alias_with_its_provider_model_and_prices(variables: dict[str, str]) -> None:
    heads, fast, deep, units = models(variables).stdout.splitlines()
    assert heads.split() == ["alias", "provider", "model", "window", "most", "output", "input", "output", "fallback"]
    assert fast.split() == ["fast", "north", "aurora", "8192", "512", "1", "2", "-"]
    assert deep.split() == ["deep", "south", "penguin", "8192", "512", "10", "20", "-"]
    assert "USD per million tokens" in units


def test_a_check_asks_each_alias_and_tells_tokens_and_cost(
    providers: dict[str, FakeProvider], variables: dict[str, str]
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    for provider in providers.values():
        provider.add(moods.ok("Ready.", usage=usage))
    ended = models(variables, "check")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        'ok      fast: "Ready.", 1000 + 500 tokens, 0.002 USD',
        'ok      deep: "Ready.", 1000 + 500 tokens, 0.02 USD',
    ]


def refusal(status: int, message: str) -> moods.Mood:
    return replace(moods.raw({"error": {"message": message}}), status=status)


def test_check_prints_one_line_when_a_provider_refuses_a_key_or_a_model(
    providers: dict[str, FakeProvider], variables: dict[str, str]
) -> None:
    providers["north"].add(refusal(401, f"Incorrect API key provided: {KEYS['north']}. See http://keys.test."))
    providers["south"].add(refusal(404, "The model `penguin` does not exist."))
    ended = models(variables, "check")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.splitlines() == [
        "FAILED  fast: provider_unauthorized: Incorrect API key *** See http://keys.test.",
        "FAILED  deep: model_unavailable: The model `penguin` does not exist.",
    ]


def test_a_check_of_a_dead_host_is_one_line_and_the_other_aliases_are_asked(
    providers: dict[str, FakeProvider], variables: dict[str, str]
) -> None:
    catalog = Path(variables["PANTHEON_CATALOG"])
    catalog.write_text(catalog.read_text().replace(providers["north"].url, "http://me:pass@127.0.0.1:1/v1"))
    ended = models(variables, "check")
    assert (ended.returncode, ended.stderr) == (1, "")
    dead, alive = ended.stdout.splitlines()
    assert dead == (
        "FAILED  fast: unavailable: Nothing was sent (ConnectionRefusedError). [providers.north] is at http://127.0.0.1:1."
    )
    assert alive.startswith("ok      deep: ")


def test_a_check_tells_what_a_failed_call_cost(providers: dict[str, FakeProvider], variables: dict[str, str]) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    providers["north"].add(moods.ok("", usage=usage))
    providers["south"].add(moods.status(500))
    ended = models(variables, "check")
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        "FAILED  fast: an empty answer (1000 + 500 tokens, 0.002 USD)",
        "FAILED  deep: provider_error (the cost is unknown): No.",
    ]


def test_a_missing_key_is_one_line_and_starts_nothing(variables: dict[str, str]) -> None:
    del variables["SOUTH_KEY"]
    ended = subprocess.run(
        [*PANTHEON, "run"], env=variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "pantheon: [providers.south] api_key: the variable SOUTH_KEY is not set.\n"
    assert not Path(variables["PANTHEON_DATA_DIR"]).exists()


def test_a_price_is_printed_as_lines_for_a_catalog(variables: dict[str, str]) -> None:
    printed = models(variables, "price", "gpt-5-mini").stdout
    assert 'rates = { input = "0.25", output = "2", cache_read = "0.025", cache_write = "0.25" }' in printed
    assert models(variables, "price", "no-such-model").returncode == 1
