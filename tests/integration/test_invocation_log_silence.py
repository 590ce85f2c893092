"""Tests calls that are not in Bedrock's log: when the log proves that they cost nothing, and when it proves nothing."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from shared.catalog.deployed import catalog
from shared.db.engine import Database
from shared.db.operations.log_hours import load_due_hours, load_silent_in_log
from shared.names import Env
from shared.reconciliation.record_sources import invocation_log_providers
from tests.support.bedrock_log import AGE_S, Log, invoke, record
from tests.support.council_room import FAST_COST
from tests.support.invocation_records import packed

pytest_plugins = ["tests.support.bedrock_log.fixtures"]
OURS = {"bedrock"}
# The release before stored this name for another provider.
CATALOG = """
[providers.eu]
kind = "bedrock"
region = "eu-central-1"

[providers.bedrock]
kind = "openai_compatible"
base_url = "http://127.0.0.1:1/v1"

[aliases.fast]
provider = "eu"
model_id = "scripted-fast"
context_window = 8192
max_output_tokens = 256
rates = { input = "0.1", output = "0.4", cache_read = "0.01", cache_write = "0.125" }
"""
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class TestSilence:
    def test_call_missing_in_the_log_costs_nothing(self, log: Log) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.write(hour, record(found))
        assert invoke()["settled"] == 1
        assert log.room.accounts()["suspense"] == 0
        assert log.status(lost) == "unbilled"
        assert invoke()["settled"] == 0

    def test_missing_call_is_settled_after_48_hours_and_a_second_read_of_the_log(self, log: Log) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=40)
        log.write(hour, record(found))
        assert invoke() == {"finished": True, "records": 1, "settled": 0, "left": 1}
        # Nine hours later.
        for change in (
            "UPDATE invocation_log_hours SET started_at = started_at - interval '9 hours'",
            """UPDATE llm_calls
            SET created_at = created_at - interval '9 hours', posted_at = posted_at - interval '9 hours'""",
        ):
            log.room.owner.execute(change.encode())
        log.write(hour - timedelta(hours=9), record(lost))
        assert invoke()["settled"] == 1
        assert log.room.accounts()["platform"] == FAST_COST

    def test_missing_call_needs_records_of_its_own_hour(self, log: Log) -> None:
        earlier, found, its_hour = log.lose_a_call(hours_ago=52)
        lost, _, hour = log.lose_a_call(hours_ago=50)
        log.write(its_hour, record(found))
        log.write(hour, record(uuid4(), stage="dev"))
        invoke()
        assert (log.status(earlier), log.status(lost)) == ("unbilled", "unknown")

    @pytest.mark.parametrize("later", [0, 1], ids=["its hour", "the next"])
    @pytest.mark.parametrize("damaged", [b"{\n", b""], ids=["line", "object"])
    def test_missing_call_stays_in_suspense_when_an_object_could_not_be_read(
        self, log: Log, later: int, damaged: bytes
    ) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.write(hour, record(found))
        key = log.write(hour + timedelta(hours=later), damaged)
        if not damaged:
            log.put(key, packed(record(uuid4(), stage="dev"))[:-9])
        assert invoke()["settled"] == 0
        assert log.status(lost) == "unknown"
        # The object is restored, and operations read the hour again.
        log.put(key, packed(record(uuid4(), stage="dev")))
        log.room.owner.execute(
            "UPDATE invocation_log_hours SET read_at = NULL, last_key = NULL, unreadable = 0 WHERE unreadable > 0"
        )
        assert invoke()["settled"] == 1

    @pytest.mark.parametrize(
        "why",
        {
            "nothing of the hour was found": "UPDATE llm_calls SET created_at = created_at - interval '1 hour'",
            "nothing of the model was found": "UPDATE llm_calls SET model_id = 'x'",
            "the provider has no record": "UPDATE llm_calls SET provider = 'openai'",
            "the call is too young": "UPDATE llm_calls SET created_at = now() - interval '47 hours'",
            "it was just posted": "UPDATE llm_calls SET posted_at = now()",
        }.items(),
        ids=lambda why: why[0],
    )
    def test_missing_call_stays_in_suspense_when(self, log: Log, why: tuple[str, str]) -> None:
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.room.owner.execute(f"{why[1]} WHERE status = 'unknown'".encode())
        log.write(hour, record(found))
        assert invoke()["settled"] == 0
        assert log.status(lost) == "unknown"

    @pytest.mark.parametrize("later", [0, 1], ids=["its hour", "the next"])
    @pytest.mark.parametrize(
        "flaw",
        [
            "read_at = NULL",
            "unreadable = 1",
            "started_at = now() - interval '3 hours'",
            "hour = hour - interval '30 days'",
        ],
        ids=["not to its end", "with a line that nobody could read", "too early", "never"],
    )
    def test_missing_call_stays_in_suspense_when_an_hour_was_read(
        self, log: Log, ops: Database, later: int, flaw: str
    ) -> None:
        lost, _, hour = log.lose_a_call(hours_ago=50)
        log.remember(hour, hour + timedelta(hours=1), models="{scripted-fast}")
        assert [row["call_id"] for row in load_silent_in_log(ops, AGE_S, OURS)] == [lost]
        change = f"UPDATE invocation_log_hours SET {flaw} WHERE hour = %s"
        log.room.owner.execute(change.encode(), (hour + timedelta(hours=later),))
        assert load_silent_in_log(ops, AGE_S, OURS) == []

    @pytest.mark.parametrize(
        ("known", "silent"), [("", False), ("eu ", True)], ids=["of its model elsewhere", "of its own"]
    )
    def test_missing_call_stays_in_suspense_when_only_another_providers_log_was_read(
        self, log: Log, ops: Database, known: str, silent: bool
    ) -> None:
        """A log belongs to one Region. The provider `eu` is also Bedrock."""
        lost, _, hour = log.lose_a_call(hours_ago=50)
        log.room.owner.execute("UPDATE llm_calls SET provider = 'eu'")
        log.remember(hour, hour + timedelta(hours=1), models=f'{{"{known}scripted-fast"}}')
        found = load_silent_in_log(ops, AGE_S, OURS | {"eu"})
        assert [row["call_id"] for row in found] == ([lost] if silent else [])
        # A provider that does not use this log stays in suspense, too.
        assert load_silent_in_log(ops, AGE_S, OURS) == []

    def test_missing_calls_are_settled_for_every_provider_on_bedrock(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "models.toml").write_text(CATALOG)
        monkeypatch.setenv(Env.CATALOG, str(tmp_path / "models.toml"))
        catalog.cache_clear()
        lost, found, hour = log.lose_a_call(hours_ago=50)
        log.room.owner.execute("UPDATE llm_calls SET provider = 'eu'")
        log.write(hour, record(found))
        assert invoke()["settled"] == 1
        assert log.status(lost) == "unbilled"
        assert {models for (models,) in log.hours("models::text")} == {'{"eu scripted-fast"}'}
        assert invocation_log_providers() == {"eu"}

    def test_missing_call_stays_in_suspense_when_it_was_posted_since(self, log: Log, ops: Database) -> None:
        _, _, hour = log.lose_a_call(hours_ago=50)
        log.remember(hour, hour + timedelta(hours=1), models="{scripted-fast}")
        log.room.owner.execute("UPDATE llm_calls SET posted_at = now() - interval '30 seconds'")
        assert load_silent_in_log(ops, AGE_S, OURS) == []

    @pytest.mark.parametrize(("minute", "hours"), [(0, (0, 1, -1)), (5, (1, 0)), (59, (0, 1))])
    def test_missing_call_is_settled_after_all_hours_that_may_have_its_record(
        self, log: Log, ops: Database, minute: int, hours: tuple[int, ...]
    ) -> None:
        lost, _, hour = log.lose_a_call(hours_ago=50)
        made = "UPDATE llm_calls SET created_at = %s WHERE call_id = %s"
        log.room.owner.execute(made, (hour + timedelta(minutes=minute), lost))
        assert load_due_hours(ops, AGE_S, OURS) == [hour + timedelta(hours=each) for each in (-1, 0, 1)]
        for number in hours:
            assert load_silent_in_log(ops, AGE_S, OURS) == []
            log.remember(hour + timedelta(hours=number), hour + timedelta(hours=number), models="{scripted-fast}")
        assert len(load_silent_in_log(ops, AGE_S, OURS)) == 1
