"""Tests that a scheduled function rings if its metrics are missing for a number of its periods."""

import psycopg
import pytest

from functions.sweeper import handler as sweeper
from functions.sweeper.phases import SECONDS
from shared.db.engine import Database
from shared.db.operations.invariants import INVARIANTS
from shared.identity.issuer import IssuerUnavailable
from shared.names import Env
from shared.operations import sweep
from shared.settings import issuer_settings
from tests.support.cloudwatch.rung import Hear
from tests.support.cloudwatch.service import NOWHERE, Service
from tests.support.council_room import DatabaseUrls

pytest_plugins = [
    "tests.support.sqs.fixtures",
    "tests.support.cloudwatch.fixtures",
    "tests.support.cloudwatch.alarm_fixtures",
]
# A failed test must not leave a lock behind.
ENDS = "-c idle_in_transaction_session_timeout=60s"


def silent(hear: Hear, name: str, service: Service, every_s: float, runs: int) -> list[bool]:
    """Return whether the alarm rings after each of this number of missing runs."""
    found = []
    for _ in range(runs):
        service.now += every_s
        found.append(name in hear())
    return found


def test_silent_sweeper_is_a_ticket_after_five_minutes(service: Service, hear: Hear) -> None:
    service.sweep()
    assert silent(hear, "SweeperSilent", service, 60, 6) == [False] * 5 + [True]
    assert "OldestActiveTurn" in hear(), "which pages, because no turn is recovered"
    service.sweep()
    assert not {"SweeperSilent", "OldestActiveTurn"} & hear(60)


def test_a_silent_reconciler_is_a_ticket_after_three_hours(service: Service, hear: Hear) -> None:
    service.reconcile()
    assert silent(hear, "ReconcilerSilent", service, 3600, 4) == [False] * 3 + [True]
    service.reconcile()
    assert "ReconcilerSilent" not in hear(60)


def test_silent_issuer_is_a_ticket_after_a_quarter_of_an_hour(
    service: Service, hear: Hear, issuer_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.copy_keys()
    monkeypatch.setenv(Env.JWT_ISSUER, "http://127.0.0.1:1")
    issuer_settings.cache_clear()
    found = []
    for _ in range(4):
        service.now += 300
        found.append("JwksSilent" in hear())
        with pytest.raises(IssuerUnavailable):
            service.copy_keys()
    assert found == [False] * 3 + [True]
    monkeypatch.setenv(Env.JWT_ISSUER, issuer_url)
    issuer_settings.cache_clear()
    service.copy_keys()
    assert "JwksSilent" not in hear(60)


def test_a_sweep_with_a_failed_phase_is_no_heartbeat(
    service: Service, hear: Hear, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.sweep()
    monkeypatch.setitem(SECONDS, "roll_up", 0.05)
    with psycopg.connect(database_urls.owner, options=ENDS) as busy:
        busy.execute("LOCK TABLE usage_rolled_up IN SHARE MODE")
        found = []
        for _ in range(6):
            service.now += 60
            found.append("SweeperSilent" in hear())
            assert service.sweep()["failed"] == ["roll_up"]
    assert found == [False] * 5 + [True]


def test_unchecked_invariants_are_a_ticket_after_five_sweeps(
    service: Service, hear: Hear, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that waits for a lock is as slow as one that reads too much."""
    monkeypatch.setattr(sweep, "_INVARIANT_S", 0.05)
    for phase in ("platform", "month", "allowances", "leftovers"):
        monkeypatch.setitem(SECONDS, phase, 0.05)
    found = []
    with psycopg.connect(database_urls.owner, options=ENDS) as busy:
        busy.execute("LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE")
        for _ in range(5):
            assert service.sweep()["unchecked"]
            service.now += 60
            found.append("InvariantsUnchecked" in hear())
    assert found == [False] * 4 + [True]
    assert service.sweep()["unchecked"] == []
    assert "InvariantsUnchecked" not in hear(60)


def test_a_database_that_is_away_leaves_every_invariant_unchecked(
    service: Service, hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "operations_database", lambda: Database(NOWHERE))
    for expected in [False] * 4 + [True]:
        assert service.sweep()["unchecked"] == list(INVARIANTS)
        service.now += 60
        assert ("InvariantsUnchecked" in hear()) is expected
