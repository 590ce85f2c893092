"""Tests the reconciler's real handler with other catalogs: other names of providers, and none on Bedrock."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.catalog import catalog
from shared.errors import ConfigurationError
from shared.names import Env
from shared.settings import invocation_log_settings
from tests.support.bedrock_log import Log, invoke, record

pytest_plugins = ["tests.support.bedrock_log.fixtures"]
pytestmark = pytest.mark.usefixtures("logging_as_it_was")

ALIAS = """
[aliases.fast]
provider = "{provider}"
model_id = "scripted-fast"
context_window = 8192
max_output_tokens = 256
rates = {{ input = 1, output = 1, cache_read = 1, cache_write = 1 }}
"""
ON_BEDROCK = '[providers.aws]\nkind = "bedrock"\n' + ALIAS.format(provider="aws")
ELSEWHERE = (
    '[providers.vendor]\nkind = "openai_compatible"\nbase_url = "https://models.example.org/v1"\n'
    + ALIAS.format(provider="vendor")
)


Choose = Callable[[str], None]


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Choose]:
    """Give the reconciler a catalog."""

    def choose_it(text: str) -> None:
        (tmp_path / "catalog.toml").write_text(text)
        monkeypatch.setenv(Env.CATALOG, str(tmp_path / "catalog.toml"))
        catalog.cache_clear()

    yield choose_it
    catalog.cache_clear()


@pytest.fixture
def untold(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log that the reconciler's settings do not name."""
    with monkeypatch.context() as patch:
        patch.delenv(Env.INVOCATION_LOG)
        yield log
    invocation_log_settings.cache_clear()


def test_calls_of_a_provider_on_bedrock_are_settled_whatever_its_name(log: Log, choose: Choose) -> None:
    lost, found, hour = log.lose_a_call(hours_ago=50)
    log.room.owner.execute("UPDATE llm_calls SET provider = 'aws'")
    log.write(hour, record(found))
    log.forget(hour, hour + timedelta(hours=1))
    choose(ON_BEDROCK)
    assert invoke() == {"finished": True, "records": 1, "settled": 1, "left": 0}
    assert log.status(lost) == "unbilled"


def test_calls_of_a_provider_elsewhere_stay_in_suspense(log: Log, choose: Choose) -> None:
    lost, found, hour = log.lose_a_call(hours_ago=50)
    log.room.owner.execute("UPDATE llm_calls SET provider = 'vendor'")
    log.write(hour, record(found))
    log.forget(hour, hour + timedelta(hours=1))
    choose(ELSEWHERE)
    assert invoke()["left"] == 1
    assert log.status(lost) == "unknown"


def test_a_stage_without_bedrock_counts_what_is_in_suspense_and_reads_no_log(untold: Log, choose: Choose) -> None:
    lost, found, hour = untold.lose_a_call()
    untold.write(hour, record(found), record(lost))
    choose(ELSEWHERE)
    assert invoke() == {"finished": True, "records": 0, "settled": 0, "left": 1}


def test_a_stage_with_bedrock_must_be_told_its_log(untold: Log, choose: Choose) -> None:
    choose(ON_BEDROCK)
    with pytest.raises(ConfigurationError, match=Env.INVOCATION_LOG):
        invoke()
