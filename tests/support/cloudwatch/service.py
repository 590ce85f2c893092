"""A stage in service: its functions' real handlers, on a council room, at moments that a test chooses.

The service reads a handler's prints as CloudWatch does, at the chosen moment. It also records AWS's own metrics of the
invocation: its count, its duration and its failure.
"""

import gzip
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, BinaryIO
from uuid import UUID

import pytest

from functions.jwks import handler as jwks
from functions.reconciler import handler as reconciler
from functions.server_sent_events import MEDIA_TYPE
from functions.stream import Stream
from functions.sweeper import handler as sweeper
from functions.worker import handler as worker
from infra_cdk.function import ALIAS
from local.gateway.worker import LambdaContext
from shared import telemetry
from shared.db.engine import Database
from shared.llm.port import Completion, Request
from shared.names import API_PREFIX, SERVICE
from tests.support.cloudwatch.metrics import Metrics, Named
from tests.support.council_room import AMPLE_S, CouncilRoom
from tests.support.gateway import request
from tests.support.invocation_records import packed
from tests.support.sqs import HOST, event, message

Answer = str | Completion | Callable[[Request], str | Completion]
OPERATOR_ROLE = "pantheon:operator"
NOWHERE = f"postgresql://nobody@{HOST}:1/none"


@dataclass
class ProviderLog:
    """Bedrock's invocation log, in memory: its newest hour has these records."""

    records: list[object] = field(default_factory=list)
    _hour: datetime | None = None

    def keys(self, hour: datetime, after: str | None = None) -> Iterator[str]:
        self._hour = max(self._hour or hour, hour)
        if self.records and after is None:
            yield f"{hour:%Y%m%dT%H}Z.json.gz"

    @contextmanager
    def open(self, _key: str) -> Iterator[BinaryIO]:
        taken, self.records = self.records, []
        yield io.BytesIO(gzip.decompress(packed(*taken)))


class Service:
    """`now` is the moment, in seconds, that whatever happens next is stamped with. `printed` returns what was written
    to standard output since it was last asked."""

    def __init__(self, room: CouncilRoom, operations: Database, patch: pytest.MonkeyPatch, printed: Callable[[], str]):
        # Here, and not on top: importing it takes hold of the process's event loop.
        from functions.turns import handler as turns

        self.room, self.turns, self._printed = room, turns, printed
        self.now, self.metrics, self.provider_log = 0.0, Metrics(), ProviderLog()
        # Log lines, metrics among them, by the function that wrote them, with their moment.
        self.lines: list[tuple[str, float, dict[str, Any]]] = []
        for module in (turns, worker):
            patch.setattr(module, "database", lambda: room.db)
            patch.setattr(module, "provider", lambda: room.provider)
        for module in (sweeper, reconciler):
            patch.setattr(module, "operations_database", lambda: operations)
        patch.setattr(reconciler, "invocation_log", lambda: self.provider_log)
        printed()

    def post(self, text: str, *expect: Answer, session_id: UUID | None = None, **fields: object) -> dict[str, Any]:
        """Post a turn by API Gateway's event; the provider will give these answers. Returns the handler's."""
        self.room.provider.enqueue(*expect)
        headers = {"prefer": "respond-async"} if fields.pop("later", False) else {}
        if fields.pop("streamed", False):
            headers["accept"] = MEDIA_TYPE
        path = f"{API_PREFIX}/sessions/{session_id or self.room.make_session()}/turns"
        asked = request("POST", path, {"message": text, **fields}, headers=headers)
        asked["requestContext"]["authorizer"] |= {"tenant": self.room.tenant_id, "user": "user-1"}
        answered: dict[str, Any] = self.invoke(self.turns, asked)
        return answered

    def deliver(self, turn_id: UUID) -> bool:
        """Bring the worker a message. Whether it comes back."""
        return self.bring(message(turn_id, self.room.tenant_id))

    def bring(self, body: str) -> bool:
        """Bring the worker a message with this body. Whether it comes back."""
        return bool(self.invoke(worker, event(body))["batchItemFailures"])

    def sweep(self) -> dict[str, Any]:
        return self.invoke(sweeper, {})

    def reconcile(self, *records: object) -> dict[str, Any]:
        """Reconcile with a provider's log whose newest hours have these records, and were not read before."""
        self.provider_log.records = list(records)
        self.room.rows("DELETE FROM invocation_log_hours WHERE hour > now() - interval '3 hours' RETURNING 1")
        return self.invoke(reconciler, {})

    def copy_keys(self) -> dict[str, Any]:
        """Copy the issuer's keys, as the environment of the test says from where and to where."""
        return self.invoke(jwks, {})

    def get(self, module: ModuleType, path: str) -> dict[str, Any]:
        """Ask a buffered HTTP function by API Gateway's event, as an administrator who is the operator, too."""
        asked = request("GET", path)
        roles = json.dumps(["admin", OPERATOR_ROLE])
        asked["requestContext"]["authorizer"] |= {"tenant": self.room.tenant_id, "roles": roles}
        return self.invoke(module, asked)

    def invoke(self, module: ModuleType, given: dict[str, Any]) -> dict[str, Any]:
        name = module.__name__.split(".")[-2]
        started = time.monotonic()
        context = LambdaContext(name, "request-1", started + AMPLE_S)
        _log_here()
        failed = True
        try:
            answered: dict[str, Any] | Stream = module.handler(given, context)
            if isinstance(answered, Stream):
                answered = {"statusCode": answered.status, "body": b"".join(answered.body).decode()}
            failed = False
        finally:
            self._take_note(name, time.monotonic() - started, failed=failed)
        return answered

    def _take_note(self, name: str, seconds: float, *, failed: bool) -> None:
        for line in map(json.loads, self._printed().splitlines()):
            self.lines.append((name, self.now, line))
            if "_aws" in line:
                self.metrics.put_line(line, self.now)
        said = {"Invocations": 1.0, "Errors": float(failed), "Duration": seconds * 1000, "Throttles": 0.0}
        said["ConcurrentExecutions"] = 1.0
        for metric, value in said.items():
            for dimensions in (of_function(name), of_alias(name)):
                self.metrics.put(Named("AWS/Lambda", metric, dimensions), self.now, value)


def _log_here() -> None:
    """Let the functions' logger write to this test's standard output, because Powertools keeps an earlier one."""
    telemetry._logger()
    for handler in logging.getLogger(SERVICE).handlers:
        handler.stream = sys.stdout  # type: ignore[attr-defined]


def of_function(name: str) -> frozenset[tuple[str, str]]:
    """The dimensions of a function's own metrics in a template."""
    return frozenset({("FunctionName", f"<{name.title()}Function>")})


def of_alias(name: str) -> frozenset[tuple[str, str]]:
    return of_function(name) | {("Resource", f"<{name.title()}Function>:{ALIAS}")}
