"""What is shown and what rings is what is emitted: a day of everything, through the real handlers, against the
dashboards and alarms of the synthesised stack. A metric that nobody reads is not emitted."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.reconciler import handler as reconciler
from functions.sweeper import handler as sweeper
from infra_cdk import app
from infra_cdk.assets import Assets
from infra_cdk.stages import DEV
from local.gateway.worker import LambdaContext
from shared.db.engine import Database
from shared.db.turns import record_cancel
from shared.llm.port import Completion, Request
from shared.names import API_PREFIX, Env, Metric, Role
from shared.settings import invocation_log_settings, operations_settings, settings
from tests.council_room import AMPLE_S, CouncilRoom, DatabaseUrls, Killed, answer, unbilled, unknown
from tests.infra.template import Template
from tests.infra.watched_metrics import Read, read_by
from tests.sqs import HOST
from tests.unit.gateway import request

pytest_plugins = ["tests.sqs.fixtures"]

Answer = str | Completion | Callable[[Request], str | Completion]
Emitted = list[tuple[str, dict[str, str]]]
NOBODY = f"postgresql://pantheon_app@{HOST}:1/none"
ROUTED = answer(json.dumps({"selected_agent_keys": ["writer"]}))
NONSENSE = answer("Let me think.")


class EmptyLog:
    """A provider's log without an object."""

    def keys(self, *_: object) -> Iterator[str]:
        return iter(())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("cdk")
    app.build(folder / "out", [DEV], Assets.empty(folder / "build")).synth()
    return Template(json.loads((folder / "out" / "pantheon-dev.template.json").read_text()))


class Day:
    """Everything that can happen, through the handlers, with the room's provider and database."""

    def __init__(self, room: CouncilRoom, worker: Callable[[UUID], bool], patch: pytest.MonkeyPatch) -> None:
        # Here, and not on top: importing it takes hold of the process's event loop.
        from functions.turns import handler as turns

        self.room, self.worker, self.patch, self.turns = room, worker, patch, turns
        patch.setattr(turns, "database", lambda: room.db)
        patch.setattr(turns, "provider", lambda: room.provider)

    def post(self, message: str, *expect: Answer, session_id: UUID | None = None, **fields: object) -> dict[str, Any]:
        self.room.provider.enqueue(*expect)
        headers = {"prefer": "respond-async"} if fields.pop("later", False) else {}
        path = f"{API_PREFIX}/sessions/{session_id or self.room.make_session()}/turns"
        asked = request("POST", path, {"message": message, **fields}, headers=headers)
        claims = asked["requestContext"]["authorizer"]["jwt"]["claims"]
        claims |= {"tenant_id": self.room.tenant_id, "sub": "user-1", "iss": "issuer", "aud": "audience"}
        context = LambdaContext("turns", "request-1", time.monotonic() + AMPLE_S)
        answered: dict[str, Any] = self.turns.handler(asked, context)
        return answered

    def modes(self) -> None:
        assert self.post("@writer hello", answer())["statusCode"] == 201
        self.post("hello", answer(), mode="manual", agent_keys=["writer"])
        self.post("hello", answer(), answer(), answer(), mode="roundtable")
        self.post("hello", ROUTED, answer(), mode="orchestrator")

    def faults(self) -> None:
        self.post("hello", NONSENSE, answer(), mode="orchestrator")
        failed = self.post("@writer hello", unbilled("refused"))
        assert json.loads(failed["body"])["status"] == "failed"
        self.post("@writer hello", unknown(), answer())

    def queue(self) -> None:
        """A turn that waits, whose session refuses another one, and which is cancelled; a queue that is not there."""
        session_id = self.room.make_session()
        waiting = self.post("@writer hello", session_id=session_id, later=True)
        assert waiting["statusCode"] == 202
        assert self.post("@writer hello", session_id=session_id)["statusCode"] == 409
        turn_id = UUID(json.loads(waiting["body"])["id"])
        record_cancel(self.room.db, self.room.tenant_id, turn_id)
        self.worker(turn_id)
        assert self.room.row("SELECT status FROM turns WHERE id = %s", turn_id) == {"status": "cancelled"}

    def kill_and_resume(self) -> None:
        def die(_: Request) -> str:
            raise Killed

        self.room.provider.enqueue(die, answer())
        session_id = self.room.make_session()
        assert not self.worker(self.room.take_until_killed("@writer hello", session_id=session_id))

    def poison(self) -> None:
        def die(_: Request) -> str:
            raise Killed

        self.room.provider.enqueue(answer(), *[die] * 5)
        turn_id = self.room.take_until_killed("@writer @critic hello", session_id=self.room.make_session())
        for _ in range(4):
            self.room.expire_lease()
            try:
                if self.worker(turn_id):
                    return
            except Killed:
                continue
        raise AssertionError("the turn was not given up")

    def outages(self) -> None:
        with self.patch.context() as patch:
            away = Database(NOBODY)
            patch.setattr(self.turns, "database", lambda: away)
            assert self.post("@writer hello")["statusCode"] == 503
            patch.setattr(self.turns, "database", lambda: None)
            assert self.post("@writer hello")["statusCode"] == 500


@pytest.fixture
def emitted(
    room: CouncilRoom,
    worker: Callable[[UUID], bool],
    database_urls: DatabaseUrls,
    deployed: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Emitted]:
    """Every metric of the day, with its dimensions."""
    operations = Database(database_urls.of(Role.OPS))
    monkeypatch.setenv(Env.STAGE, DEV.name)
    monkeypatch.setenv(Env.TENANT_CLAIM, "tenant_id")
    monkeypatch.setenv(Env.OPS_DATABASE_URL, database_urls.of(Role.OPS))
    monkeypatch.setenv(Env.INVOCATION_LOG, "s3://bucket/AWSLogs/1/BedrockModelInvocationLogs/eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://{HOST}:1")
    for cache in (settings, operations_settings, invocation_log_settings):
        cache.cache_clear()
    for module in (sweeper, reconciler):
        monkeypatch.setattr(module, "operations_database", lambda: operations)
    monkeypatch.setattr(reconciler, "invocation_log", EmptyLog)
    limit(room.owner, "1000")
    day = Day(room, worker, monkeypatch)
    for part in (day.modes, day.faults, day.queue, day.kill_and_resume, day.poison, day.outages):
        part()
    for module in (sweeper, reconciler):
        module.handler({}, LambdaContext(module.__name__, "request-1", time.monotonic() + AMPLE_S))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    yield [found for line in lines for found in metrics(line)]
    operations.close()
    for cache in (settings, operations_settings, invocation_log_settings):
        cache.cache_clear()


def limit(owner: psycopg.Connection[Any], usd: str) -> None:
    owner.execute(b"INSERT INTO budget_limits (payer, limit_usd) VALUES ('platform', %s)", (usd,))


def metrics(line: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            for metric in directive["Metrics"]:
                yield metric["Name"], {name: line[name] for name in names}


def test_everything_that_is_read_is_emitted_and_everything_emitted_is_read(
    emitted: Emitted, template: Template
) -> None:
    reads = read_by(template)
    assert sorted(map(str, (read for read in reads if not is_emitted(read, emitted)))) == []
    unread = {(metric, *sorted(named)) for metric, named in emitted if not is_read(metric, named, reads)}
    assert unread == set()
    # Every name is in use.
    assert {metric for metric, _ in emitted} == set(Metric)


def is_emitted(read: Read, emitted: Emitted) -> bool:
    return any(read.is_of(metric, dimensions) for metric, dimensions in emitted)


def is_read(metric: str, dimensions: dict[str, str], reads: set[Read]) -> bool:
    return any(read.is_of(metric, dimensions) for read in reads)
