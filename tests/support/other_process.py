"""Plays a second process beside a runner: a thread with its own connection that meets it at a lock."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.db.api import sessions
from shared.db.api.history import record_cancel
from shared.db.engine import Statement
from shared.llm.port import Completion, Request
from shared.llm.scripted import ScriptedProvider
from tests.support.council_room import DEADLINE_S, CouncilRoom, answer, wait_for
from tests.support.watched_database import WatchedDatabase


class OtherProcess:
    """`late` is what the runner's own call comes back with."""

    def __init__(self, room: CouncilRoom, pool: ThreadPoolExecutor) -> None:
        self.room = room
        self.db = room.open_database()
        self.provider = ScriptedProvider()
        self.late = answer("Too late.")
        self._pool = pool
        self._part: Future[Any] | None = None

    def comes_second(
        self, statement: Statement, part: Callable[[], object], first: WatchedDatabase | None = None
    ) -> None:
        """Let the runner, or the user of the connection `first`, hold `statement` uncommitted until `part` waits."""

        def start() -> None:
            self._part = self._pool.submit(part)
            self.room.wait_until_blocked()

        (first or self.room.db).hold(statement, start)

    def comes_first(
        self, statement: Statement | None, part: Callable[[], object], as_far_as: str | None = None
    ) -> Callable[[Request | None], Completion]:
        """Return a provider that starts `part`, and answers when `part` holds `statement` uncommitted.

        With `as_far_as`, `part` holds only the parts of the statement up to that one. It commits when the runner waits
        for it.
        """
        held = threading.Event()

        def hold() -> None:
            held.set()
            self.room.wait_until_blocked()

        def start(_: Request | None) -> Completion:
            self.room.expire_lease()
            self.db.hold(statement, hold, as_far_as)
            self._part = self._pool.submit(part)
            assert held.wait(DEADLINE_S)
            return self.late

        return start

    def start(self, part: Callable[[], object]) -> Future[Any]:
        return self._pool.submit(part)

    def is_waited_for(self, _: Request) -> Completion:
        """Answer as the runner's provider when the other's part is over."""
        assert self._part is not None
        wait_for(self._part.done)
        return answer("sesame")

    def result(self) -> Any:
        assert self._part is not None
        return self._part.result(DEADLINE_S)

    def resume(self) -> Any:
        turn_id = self.room.row("SELECT id FROM turns")["id"]
        return self.room.resume(turn_id, self.room.runner(db=self.db, provider=self.provider))

    def cancel(self) -> None:
        record_cancel(self.db, self.room.actor, self.room.row("SELECT id FROM turns")["id"])

    def delete(self) -> None:
        sessions.record_session_deletion(self.db, self.room.actor, self.room.session_id)

    def take(self, message: str, **request: Any) -> Any:
        return self.room.take(message, runner=self.room.runner(db=self.db, provider=self.provider), **request)
