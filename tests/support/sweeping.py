"""Fixtures that run the sweeper's real handler, and turns for it to send."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from functions.sweeper import handler as sweeper
from local.gateway.worker import LambdaContext
from shared.db.engine import Database
from shared.names import Env, Role
from shared.settings import operations_settings
from tests.support.council_room import CouncilRoom, DatabaseUrls

EVENT = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-01-02T03:04:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/pantheon-sweeper"],
    "detail": {},
}


# A sweep that waits for a lock must fail its test instead of hanging.
ENDS = "-c idle_in_transaction_session_timeout=10s"


Sweep = Callable[[], dict[str, Any]]


@pytest.fixture
def operations(database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = database_urls.of(Role.OPS)
    db = Database(url)
    monkeypatch.setattr(sweeper, "operations_database", lambda: db)
    monkeypatch.setenv(Env.OPS_DATABASE_URL, url)
    operations_settings.cache_clear()
    yield db
    db.close()
    operations_settings.cache_clear()


@pytest.fixture
def run(room: CouncilRoom, operations: Database, logging_as_it_was: None) -> Sweep:
    return lambda: sweeper.handler(EVENT, LambdaContext("sweeper", "request-1", time.monotonic() + 60))


@pytest.fixture
def gauges(run: Sweep, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, float]]:
    """Sweep, and return every metric of the whole deployment by name."""

    def swept() -> dict[str, float]:
        capsys.readouterr()
        run()
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        lines = [line for line in lines if line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]]
        names = {metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        return {name: line[name][0] for line in lines for name in names if name in line}

    return swept


def accept(room: CouncilRoom, *, due: bool = True) -> UUID:
    """A turn in a session of its own that waits for the worker."""
    outcome = room.take("@writer hello", later=True, session_id=room.make_session())
    if due:
        make_due(room)
    return outcome.turn_id


def make_due(room: CouncilRoom) -> None:
    room.owner.execute("UPDATE turns SET dispatch_after = clock_timestamp() WHERE dispatch_after IS NOT NULL")


@contextmanager
def copies(room: CouncilRoom, turn_id: UUID, number: int) -> Iterator[None]:
    """Add this number of copies of the turn, each in a session of its own and due a millisecond before the last."""
    room.owner.execute(
        """WITH made AS (
            INSERT INTO sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, next_turn_index)
            SELECT copy.id, copy.tenant_id, copy.user_id, copy.title, copy.mode, copy.fan_out, copy.agent_keys,
                   copy.next_turn_index
            FROM turns t JOIN sessions s ON s.id = t.session_id,
                generate_series(1, %(number)s) AS n,
                jsonb_populate_record(s, jsonb_build_object('id', md5(s.id::text || n))) AS copy
            WHERE t.id = %(id)s RETURNING id
        )
        INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, fingerprint, message, mode, fan_out,
                           roster, plan, lease_epoch, lease_expires_at, dispatch_after, created_at)
        SELECT copy.id, copy.tenant_id, copy.session_id, copy.user_id, copy.turn_index, copy.status, copy.fingerprint,
               copy.message, copy.mode, copy.fan_out, copy.roster, copy.plan, copy.lease_epoch, copy.lease_expires_at,
               copy.dispatch_after, copy.created_at
        FROM turns t, (SELECT id, row_number() OVER () AS n FROM made) made,
            jsonb_populate_record(t, jsonb_build_object('id', made.id, 'session_id', made.id,
                'dispatch_after', t.dispatch_after - n * interval '1 ms')) AS copy
        WHERE t.id = %(id)s""",
        {"id": turn_id, "number": number},
    )
    yield
    # The copies hold no money.
    room.owner.execute(
        """WITH gone AS (DELETE FROM turns WHERE id = session_id RETURNING id)
        DELETE FROM sessions USING gone WHERE sessions.id = gone.id"""
    )
