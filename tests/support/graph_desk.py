"""Posts and runs turns of mode `graph:here` in this process, with Python functions in place of graphs."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from shared.domain.conversation import Spoken
from shared.domain.outcome import TurnOutcome
from shared.domain.turn import Reply
from shared.orchestration.growing_council import GrowingCouncil, TurnLeft
from shared.turns.run import Runner
from tests.support.council_room import ALIASES, CouncilRoom, Killed, body

Mode = Callable[[GrowingCouncil], None]


def ask(council: GrowingCouncil, key: str, text: str = "Speak.") -> Reply:
    return council.ask_next(key, [Spoken("user", text)])


def three(council: GrowingCouncil) -> None:
    """The prompts say what was answered before."""
    said = ""
    for key in ALIASES:
        said += ask(council, key, f"Before you: {said}").text or ""


def _run(mode: Mode, council: GrowingCouncil) -> None:
    """As functions/graphs/executor.py ends a graph."""
    with suppress(TurnLeft):
        mode(council)
    council.finish()


@dataclass
class Desk:
    """Posts turns of mode `graph:here` and runs them as the function for graphs does."""

    room: CouncilRoom
    mode: Mode = three
    session_id: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.session_id = self.room.make_session(mode="graph:here")

    def post(self, message: str = "hello", **fields: Any) -> TurnOutcome:
        return self.room.take(message, session_id=self.session_id, **fields)

    def runner(self, mode: Mode | None = None, **fields: Any) -> Runner:
        return replace(self.room.runner(**fields), graphs={"here": partial(_run, mode or self.mode)})

    def run(self, turn_id: UUID, mode: Mode | None = None, **fields: Any) -> dict[str, Any]:
        return body(self.room.resume(turn_id, self.runner(mode, **fields)))

    def take(self, mode: Mode | None = None) -> dict[str, Any]:
        return self.run(self.post().turn_id, mode)

    def killed(self, mode: Mode | None = None) -> UUID:
        """Post a turn whose runner dies in it, and let its lease run out."""
        turn_id = self.post().turn_id
        with pytest.raises(Killed):
            self.room.resume(turn_id, self.runner(mode))
        self.room.expire_lease()
        return turn_id
