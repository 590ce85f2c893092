"""Report and restart Postgres and the local model when their process dies.

The main thread does this, because Linux ends a child with the thread that started it. The gateway's pool restarts the
processes of functions.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from local import postgres
from local.model import LocalModel, ModelError
from local.postgres import PostgresError, Server
from local.process import in_words
from local.restarts import WITHIN_S, Restarts

Say = Callable[[str], None]
_FAILURES: Final = (PostgresError, ModelError)


class PartDied(Exception):
    """A part of the stack died too often. The text is one line."""


class Part(Protocol):
    """A process that the stack needs. `name` begins a sentence. `effect` is a sentence."""

    @property
    def name(self) -> str: ...

    @property
    def effect(self) -> str: ...

    @property
    def log(self) -> Path: ...

    @property
    def exit_code(self) -> int | None: ...

    def start_again(self) -> None: ...


@dataclass
class PostgresPart:
    """The embedded server. It restarts on the same port, because the functions have its address."""

    server: Server
    settings: Mapping[str, str]
    name: str = "PostgreSQL"
    effect: str = "Committed turns are safe. Until PostgreSQL runs again, requests get status 503."

    @property
    def log(self) -> Path:
        return self.server.data_dir / "server.log"

    @property
    def exit_code(self) -> int | None:
        return self.server.exit_code

    def start_again(self) -> None:
        self.server = postgres.start(self.server.data_dir, settings=self.settings, port=self.server.port)

    def stop(self) -> None:
        self.server.stop()


@dataclass
class ModelPart:
    """The local model. It restarts at the same address, with the same key."""

    model: LocalModel
    name: str = "The local model"
    effect: str = "Its calls in progress fail, and their turns continue without them."

    @property
    def log(self) -> Path:
        return self.model.log_path

    @property
    def exit_code(self) -> int | None:
        return self.model.exit_code

    def start_again(self) -> None:
        self.model.start_again()


@dataclass(frozen=True)
class _Watched:
    part: Part
    restarts: Restarts = field(default_factory=Restarts)


class Supervisor:
    """Restart parts that died. Call `check` in the thread that started them."""

    def __init__(self, parts: tuple[Part, ...], sleep: Callable[[float], None] = time.sleep) -> None:
        self._watched = [_Watched(part) for part in parts]
        self._sleep = sleep

    def check(self, say: Say) -> None:
        """Restart each part that has died, and report it by `say`. Raises PartDied if it dies too often."""
        for watched in self._watched:
            if watched.part.exit_code is not None:
                self._start_again(watched, say)

    def _start_again(self, watched: _Watched, say: Say) -> None:
        part = watched.part
        say(f"{part.name} {in_words(part.exit_code)}. It is started again. {part.effect}")
        while True:
            pause = watched.restarts.begin()
            if pause is None:
                raise PartDied(f"{part.name} died too often within {WITHIN_S / 60:.0f} minutes; see {part.log}.")
            self._sleep(pause)
            started = time.monotonic()
            try:
                part.start_again()
            except _FAILURES as error:
                say(f"{part.name} did not start: {error}")
                continue
            say(f"{part.name} runs again after {time.monotonic() - started:.1f} s.")
            return
