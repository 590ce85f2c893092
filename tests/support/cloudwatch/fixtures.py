"""Fixtures: a stage in service. They need those of `tests.support.sqs` and of a council room.

`in_service(PROD)` returns the stage's functions, with the stage's settings. Their prints go to the CloudWatch stand-in.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from infra_cdk.stages import Stage
from shared.db.engine import Database, Row
from shared.names import Env, Role
from shared.settings import invocation_log_settings, issuer_settings, operations_settings, settings, stage_settings
from tests.support.cloudwatch.service import Service
from tests.support.council_room import CouncilRoom, DatabaseUrls
from tests.support.issuer import Issuer
from tests.support.templates.issuer_site import serving

_CACHES = (settings, operations_settings, invocation_log_settings, stage_settings, issuer_settings)
# Read already, so that the reconciler has the newest hours left.
_READ = """INSERT INTO invocation_log_hours SELECT hour, now(), NULL, '{}', 0, now()
    FROM generate_series(date_trunc('hour', now() - interval '20 days', 'UTC'), now() - interval '3 hours',
    interval '1 hour') AS hour"""


@pytest.fixture(scope="session")
def issuer_url() -> Iterator[str]:
    """An issuer that answers."""
    with serving(Issuer("first")) as url:
        yield url


@pytest.fixture
def issuer(issuer_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.JWT_ISSUER, issuer_url)
    monkeypatch.setenv(Env.JWKS_URL, (tmp_path / "jwks.json").as_uri())


@pytest.fixture
def surroundings(deployed: object, logging_as_it_was: None, issuer: None) -> None:
    """The queue, the log and the issuer of a stage in service."""


@pytest.fixture
def in_service(
    room: CouncilRoom,
    database_urls: DatabaseUrls,
    owner: psycopg.Connection[Row],
    surroundings: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[[Stage], Service]]:
    operations = Database(database_urls.of(Role.OPS))
    monkeypatch.setenv(Env.TENANT_CLAIM, "tenant_id")
    monkeypatch.setenv(Env.OPS_DATABASE_URL, database_urls.of(Role.OPS))
    monkeypatch.setenv(Env.INVOCATION_LOG, "s3://bucket/AWSLogs/1/BedrockModelInvocationLogs/eu-central-1")
    owner.execute(_READ.encode())

    def put(stage: Stage) -> Service:
        monkeypatch.setenv(Env.STAGE, stage.name)
        for cache in _CACHES:
            cache.cache_clear()
        service = Service(room, operations, monkeypatch, lambda: capsys.readouterr().out)
        service.now = this_hour()
        return service

    yield put
    operations.close()
    for cache in _CACHES:
        cache.cache_clear()


def this_hour() -> float:
    """The beginning of the hour that it is, in seconds."""
    return datetime.fromtimestamp(time.time(), UTC).replace(minute=0, second=0, microsecond=0).timestamp()
