"""A process that runs the real handlers, one event after the other, as a Lambda environment does."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from functions.stream import Stream
from shared.catalog import catalog
from shared.db.engine import database, operations_database
from shared.llm.providers import provider
from shared.llm.tokens import token_estimates
from shared.names import Env
from shared.settings import budget_settings, operations_settings, settings
from tests.faults import clock, sabotage
from tests.faults.cut_proxy import Cut, CutProxy
from tests.faults.forked import Forked, Line, fork
from tests.faults.heard import Heard
from tests.faults.points import Action, Points, Target

PATIENCE_S = 90.0
AMPLE_S = 600.0
Handler = Callable[[dict[str, Any], Any], dict[str, Any] | Stream]


@cache
def handlers() -> Mapping[str, Handler]:
    """Import the handlers, by function. Only a process that runs them pays for the import, before its first fork."""
    from functions.admin.handler import handler as admin
    from functions.api.handler import handler as api
    from functions.sweeper.handler import handler as sweeper
    from functions.turns.handler import handler as turns
    from functions.worker.handler import handler as worker

    known = {"admin": admin, "api": api, "sweeper": sweeper, "turns": turns, "worker": worker}
    if find_spec("langgraph") is None:
        return known
    from functions.graphs.handler import handler as graphs

    return {**known, "graphs": graphs}


class TookTooLong(Exception):
    """A handler did not return in time."""


@dataclass(frozen=True)
class Job:
    """An event for a function, and the faults of the process that serves it.

    At `at` the process is killed, stops or pauses. `seconds_left` is the remaining time that its context reports at
    each question; the last value is repeated. `cut` ends its database connection at a commit. Its wall clock is
    `clock_s` ahead.

    A killed process lives `linger_s` longer and writes its turn's events until then. The reader of a stream takes a
    piece every `read_s` seconds. A reader that `sleeps` takes the first piece, and the next one when it is told to go
    on.
    """

    function: Literal["admin", "api", "graphs", "sweeper", "turns", "worker"]
    event: dict[str, Any]
    at: Target | None = None
    action: Action = "kill"
    seconds_left: tuple[float, ...] = (AMPLE_S,)
    cut: Cut | None = None
    clock_s: int = 0
    linger_s: float = 0.0
    read_s: float = 0.0
    sleeps: bool = False


@dataclass(frozen=True)
class Answer:
    """The handler's result and the points that it passed.

    `status` is an HTTP function's, and 0 for the worker. For a stream, whose events are in `heard`, it is the status
    that the last event stands for.
    """

    returned: dict[str, Any]
    trace: tuple[str, ...] = ()
    heard: Heard | None = None

    @property
    def status(self) -> int:
        return int(self.returned.get("statusCode", 0))

    @property
    def body(self) -> str:
        return str(self.returned.get("body", ""))


@dataclass(frozen=True)
class Died:
    """The process is gone without an answer. `heard` has the events of its stream."""

    heard: Heard | None = None


class Paused:
    """The process waits at its point."""


Event = Answer | Died | Paused


@dataclass
class ScriptedContext:
    """A Lambda context whose remaining time follows a script."""

    seconds_left: list[float]
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    function_name: str = "pantheon"
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "1024"
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:pantheon"

    def get_remaining_time_in_millis(self) -> int:
        left = self.seconds_left.pop(0) if len(self.seconds_left) > 1 else self.seconds_left[0]
        return int(left * 1000)


class Actor:
    """The parent's end of such a process. `environ` is its environment, `sabotaged` names its missing guards."""

    def __init__(self, environ: Mapping[str, str], log: Path, provider_log: Path, sabotaged: str | None = None) -> None:
        self.environ = environ
        # The pieces that the stream of its job has sent.
        self._pieces: list[bytes] = []
        self._process: Forked = fork(lambda pipe: _serve(pipe, environ, log, provider_log, sabotaged))

    def send(self, job: Job) -> None:
        self._process.pipe.send(job)

    def go_on(self, until: Target | None = None) -> None:
        """Let the process leave the point where it paused, and pause again at another one."""
        self._process.pipe.send(until)

    def wait(self, patience_s: float = PATIENCE_S) -> Event:
        """Return the job's next event: an answer, a pause or a death. Raises TookTooLong."""
        while True:
            try:
                if not self._process.pipe.poll(patience_s):
                    self.kill()
                    raise TookTooLong
                received = self._process.pipe.recv()
            except (EOFError, ConnectionResetError):
                self._process.reap()
                return Died(self._taken(is_whole=False))
            if isinstance(received, Answer):
                heard = self._taken(is_whole=True)
                return received if heard is None else Answer(heard.answer(received.returned), received.trace, heard)
            if not isinstance(received, bytes):
                return Paused()
            self._pieces.append(received)

    def _taken(self, *, is_whole: bool) -> Heard | None:
        pieces, self._pieces = self._pieces, []
        return Heard.read(b"".join(pieces), is_whole=is_whole) if pieces else None

    def run(self, job: Job) -> Event:
        self.send(job)
        return self.wait()

    def has_answered(self, within_s: float = 0.0) -> bool:
        """Return whether `wait` would return at once."""
        return self._process.pipe.poll(within_s)

    def kill(self) -> None:
        self._process.kill()

    def wait_until_stopped(self) -> bool:
        """Return False if the job ended without passing its point."""
        return self._process.wait_until_stopped()

    def wake(self) -> None:
        self._process.wake()

    @property
    def alive(self) -> bool:
        return self._process.pid != 0


def _serve(pipe: Connection, environ: Mapping[str, str], log: Path, provider_log: Path, sabotaged: str | None) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.update(environ)
    forget()
    if sabotaged is not None:
        sabotage.find(sabotaged).commit()
    line = Line(pipe)
    points = Points(line, provider_log)
    points.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    while True:
        job: Job = line.recv()
        if job.cut is not None:
            os.environ[Env.APP_DATABASE_URL] = CutProxy(environ[Env.APP_DATABASE_URL], job.cut).start()
            forget()
        clock.shift(job.clock_s)
        points.begin(job.at, job.action, job.linger_s)
        returned = handlers()[job.function](job.event, ScriptedContext(list(job.seconds_left)))
        if isinstance(returned, Stream):
            returned = _stream(returned, job, line, points)
        line.send(Answer(returned, tuple(points.trace)))


def _stream(stream: Stream, job: Job, line: Line, points: Points) -> dict[str, Any]:
    """Send the client each piece of the stream. Returns its status and headers."""
    for number, piece in enumerate(stream.body):
        line.send(piece)
        for event in Heard.read(piece, is_whole=False).events:
            points.reach(f"wrote {event.name}")
        if job.sleeps and number == 0:
            line.recv()
        time.sleep(job.read_s)
    return {"statusCode": stream.status, "headers": dict(stream.headers)}


def forget() -> None:
    """Forget the settings that were read from the environment."""
    parts = (settings, budget_settings, operations_settings)
    for cached in (*parts, catalog, provider, database, operations_database, token_estimates):
        cached.cache_clear()
