"""A release and the process that runs its handlers."""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

from local import process
from tests.drill.gateways import event_for
from tests.faults.actor import AMPLE_S, PATIENCE_S, Answer, Job, TookTooLong

_SERVE = Path(__file__).with_name("serve.py")


@dataclass
class Release:
    """`folder` has the release's files, `environ` its functions' environment.

    One process at a time works for it. A killed process is replaced by the next job.
    """

    name: str
    folder: Path
    environ: Mapping[str, str]
    log: Path
    _running: "Environment | None" = field(default=None, repr=False)

    def environment(self) -> "Environment":
        if self._running is None or not self._running.alive:
            self._running = Environment(self)
        return self._running

    def run(self, job: Job) -> Answer:
        return self.environment().run(job)

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Send an event to any function. Raises AssertionError if the function fails."""
        environment = self.environment()
        environment.send(function, event)
        returned = environment.wait().returned
        assert "errorType" not in returned, f"{self.name}'s {function}: {returned}"
        return returned

    def close(self) -> None:
        if self._running is not None:
            self._running.kill()


class Environment:
    """The parent's end of a process of `release`."""

    def __init__(self, release: Release) -> None:
        self._folder = release.folder
        address = release.log.with_name(f"{uuid4().hex[:12]}.socket")
        environ = {**os.environ, **release.environ, "PYTHONPATH": str(release.folder)}
        command: list[str | Path] = [sys.executable, "-P", _SERVE, release.folder, address]
        with socket.socket(socket.AF_UNIX) as listener, release.log.open("ab") as output:
            listener.bind(str(address))
            listener.listen()
            listener.settimeout(PATIENCE_S)
            self._process = process.spawn(command, output=output, cwd=release.folder, env=environ)
            self._pipe = Connection(listener.accept()[0].detach())
        self.alive = True

    def send(self, function: str, event: dict[str, Any], seconds_left: tuple[float, ...] = (AMPLE_S,)) -> None:
        job = {"function": function, "event": event, "seconds_left": seconds_left, "request_id": str(uuid4())}
        self._pipe.send_bytes(json.dumps(job).encode())

    def start(self, job: Job) -> None:
        """Send the job. Its event has the form of the gateway that the release was deployed with."""
        self.send(job.function, event_for(self._folder, job.event), job.seconds_left)

    def wait(self) -> Answer:
        """Return the answer. Raises TookTooLong, and EOFError if the process ended."""
        if not self._pipe.poll(PATIENCE_S):
            self.kill()
            raise TookTooLong
        return Answer(json.loads(self._pipe.recv_bytes()))

    def run(self, job: Job) -> Answer:
        self.start(job)
        return self.wait()

    def has_answered(self) -> bool:
        return self._pipe.poll(0)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL and wait until the process is gone."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self.alive = False
