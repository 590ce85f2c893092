"""Tests that our own failures ring, also those that a handler answers or continues after; a provider's do not.

The metrics are the handlers' own lines, and Lambda's count of raised errors.
"""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from functions.admin import handler as admin
from functions.admin import platform
from functions.api import budget
from functions.api import handler as api
from functions.authorizer import handler as authorizer
from functions.jwks import handler as jwks
from functions.reconciler import handler as reconciler
from functions.sweeper import handler as sweeper
from functions.worker import handler as worker
from shared.db import engine
from shared.db.engine import Database
from shared.errors import ConfigurationError, DatabaseUnavailable
from shared.identity.issuer import IssuerUnavailable
from shared.llm.port import Request
from shared.names import API_PREFIX, Env
from shared.orchestration.council import Council
from shared.settings import authorizer_settings, issuer_settings, operations_settings, settings
from shared.turns import run
from tests.support.cloudwatch import day
from tests.support.cloudwatch.service import NOWHERE, Service
from tests.support.council_room import CouncilRoom, answer, unbilled
from tests.support.sqs import message

pytest_plugins = [
    "tests.support.sqs.fixtures",
    "tests.support.cloudwatch.fixtures",
    "tests.support.cloudwatch.alarm_fixtures",
]
Rings = Callable[[], set[str]]


def broken(_: Request | Council) -> str:
    raise KeyError


def waiting(service: Service) -> UUID:
    service.post("hello", later=True)
    found: UUID = service.room.row("SELECT id FROM turns ORDER BY created_at DESC LIMIT 1")["id"]
    return found


def test_three_failures_of_the_worker_ring_for_its_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failures are an unreadable message, an unreachable database, and a mode that raises. No invocation fails."""
    assert service.bring("no message of ours")
    with monkeypatch.context() as patched:
        patched.setattr(worker, "database", lambda: Database(NOWHERE))
        assert service.bring(message(uuid4(), service.room.tenant_id))
    assert rings() == set()
    with monkeypatch.context() as patched:
        patched.setattr(run, "MODES", {"tag": broken})
        assert not service.deliver(waiting(service))
    assert service.room.row("SELECT response::jsonb -> 'error' ->> 'code' AS code FROM turns") == {"code": "mode_error"}
    assert rings() == {"ReleaseWorkerFailures", "Canary"}


def test_a_turn_that_is_given_up_is_a_failure_of_the_worker(service: Service, room: CouncilRoom, rings: Rings) -> None:
    day.give_up(service)
    service.now += 300
    turn_id = room.row("SELECT id FROM turns WHERE response::jsonb -> 'error' ->> 'code' = 'turn_abandoned'")["id"]
    # The queue delivers its message again, and each time the turn was given up.
    for expected in (set(), set(), {"ReleaseWorkerFailures", "Canary"}):
        assert service.deliver(turn_id)
        assert rings() == expected


def test_failures_of_a_provider_ring_for_no_release(service: Service, rings: Rings) -> None:
    for _ in range(3):
        service.post("@writer hello", unbilled("refused"))
        turn_id = waiting(service)
        service.room.provider.enqueue(unbilled("refused"))
        assert not service.deliver(turn_id)
    assert {row["status"] for row in service.room.rows("SELECT status FROM turns")} == {"failed"}
    assert rings() == set()


def test_three_failures_of_streamed_turns_ring_for_their_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is a refusal of status 503. The others come after the stream began, whose status is 200."""
    with monkeypatch.context() as patched:
        patched.setattr(service.turns, "database", lambda: Database(NOWHERE))
        assert service.post("@writer hello", streamed=True)["statusCode"] == 503
    for expected in (set(), {"ReleaseTurnsFailures", "Canary"}):
        answered = service.post("@writer hello", broken, streamed=True)
        assert answered["statusCode"] == 200
        assert "internal_error" in answered["body"]
        assert rings() == expected


def test_refused_requests_ring_for_no_release(service: Service, rings: Rings) -> None:
    for _ in range(5):
        assert service.post("")["statusCode"] == 422
        assert service.get(api, f"{API_PREFIX}/nothing")["statusCode"] == 404
    assert rings() == set()


def test_a_database_that_is_away_rings_for_the_buffered_functions(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "operator_database", lambda: Database(NOWHERE))
    monkeypatch.setattr(budget, "database", lambda: Database(NOWHERE))
    for expected in (set(), set(), {"ReleaseApiFailures", "ReleaseAdminFailures", "Canary"}):
        assert service.get(api, f"{API_PREFIX}/budget")["statusCode"] == 503
        assert service.get(admin, f"{API_PREFIX}/admin/platform/budget")["statusCode"] == 503
        assert rings() == expected


def test_three_failed_sweeps_ring_for_its_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "operations_database", lambda: Database(NOWHERE))
    for expected in (set(), set(), {"ReleaseSweeperFailures", "Canary"}):
        assert service.sweep()["failed"]
        assert rings() == expected


def test_one_failed_reconciliation_rings_for_its_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs once an hour, so no second failure comes in the same hour."""
    monkeypatch.setattr(reconciler, "operations_database", lambda: Database(NOWHERE))
    with pytest.raises(DatabaseUnavailable):
        service.reconcile()
    assert rings() == {"ReleaseReconcilerFailures", "ReleaseReconcilerErrors", "Canary"}
    service.now += 3540
    assert rings() == set()


def test_functions_without_their_settings_ring_by_lambdas_errors(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cache in (settings, operations_settings):
        cache.cache_clear()
    monkeypatch.delenv(Env.APP_DATABASE_URL)
    monkeypatch.delenv(Env.OPS_DATABASE_URL)
    monkeypatch.setattr(worker, "database", engine.database.__wrapped__)
    monkeypatch.setattr(sweeper, "operations_database", engine.operations_database.__wrapped__)
    for expected in (set(), set(), {"ReleaseWorkerErrors", "ReleaseSweeperErrors", "Canary"}):
        with pytest.raises(ConfigurationError):
            service.bring("")
        with pytest.raises(ConfigurationError):
            service.sweep()
        assert rings() == expected


def test_an_authorizer_that_cannot_decide_rings_for_its_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(Env.AUTH_DATABASE_URL, raising=False)
    authorizer_settings.cache_clear()
    authorizer.authority.cache_clear()
    asked = {"requestContext": {"requestId": "request-1"}, "headers": {}, "methodArn": "arn:aws:x:y:z:api/live/GET/"}
    for expected in (set(), set(), {"ReleaseAuthorizerErrors", "Canary"}):
        with pytest.raises(ConfigurationError):
            service.invoke(authorizer, asked)
        assert rings() == expected


def test_three_failed_copies_of_the_issuers_keys_ring_for_its_release(
    service: Service, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Env.JWT_ISSUER, "http://127.0.0.1:1")
    issuer_settings.cache_clear()
    for expected in (set(), set(), {"ReleaseJwksErrors", "Canary"}):
        with pytest.raises(IssuerUnavailable):
            service.invoke(jwks, {})
        assert rings() == expected
        service.now += 240


def test_a_turn_that_ends_well_counts_no_failure(service: Service, rings: Rings) -> None:
    for _ in range(3):
        service.post("@writer hello", answer(), streamed=True)
    assert rings() == set()
    assert "Failures" not in {metric.name for metric in service.metrics.names()}
