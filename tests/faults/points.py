"""The named points of the protocol, put around the database and the provider of one forked process.

`before`, `within` and `after` a statement: not sent, done and not committed, committed and not yet known of. `before`,
`sent` and `after` a call: not sent, in the provider's log and not answered, answered and not recorded. At one of them
the process is killed, stops, or waits for a word from the harness.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import psycopg

from shared.db import claims, context, sessions, turns
from shared.db.engine import Database, Params, Row, Statement
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, Request
from shared.turns import journal, publish

Action = Literal["kill", "stop", "pause"]
# A point's number in the order in which this job comes by, or its name, "within publish", and which time it is that it
# comes by there, from 1.
Target = int | tuple[str, int]
_DEADLINE_S = 30.0


def statement_names() -> dict[Statement, str]:
    """What the steps of docs/transaction_policy.md are called there."""
    # As those who run them know them: a sabotage has replaced some.
    journaled = {"ACCEPT_AND_OPEN": "accept", "ACCEPT": "accept for later", "OPEN": "ask"}
    journaled |= {"RECORD": "record", "RELEASE": "release"}
    return {vars(journal)[name]: step for name, step in journaled.items()} | {
        vars(publish)["PUBLISH"]: "publish",
        context.LOAD_FOR_NEW_TURN: "load",
        context.LOAD_FOR_RESUMED_TURN: "load for resume",
        claims.LOCK_ABANDONED: "lock",
        claims.CLAIM: "claim",
        turns._CANCEL: "cancel",
        sessions._MARK: "delete",
    }


class Points:
    """`trace` are the points that the job came by so far."""

    def __init__(self, pipe: Connection, provider_log: Path) -> None:
        self.trace: list[str] = []
        self._names = statement_names()
        self._pipe = pipe
        self._provider_log = provider_log
        self._target: Target | None = None
        self._action: Action = "kill"
        # Of parallel calls, each thread comes by.
        self._lock = threading.RLock()

    def begin(self, target: Target | None, action: Action) -> None:
        self.trace, self._target, self._action = [], target, action

    def reach(self, point: str) -> None:
        with self._lock:
            met = self._is_next(point)
            self.trace.append(point)
            if met:
                self._target = None
                self._act(point)

    def _is_next(self, point: str) -> bool:
        with self._lock:
            if isinstance(self._target, tuple):
                return self._target == (point, self.trace.count(point) + 1)
            return self._target == len(self.trace)

    def _act(self, point: str) -> None:
        if self._action == "pause":
            self._pipe.send(("paused", point))
            # It may be told where to pause next.
            self._target = self._pipe.recv()
        else:
            os.kill(os.getpid(), signal.SIGKILL if self._action == "kill" else signal.SIGSTOP)

    def _name(self, work: Sequence[tuple[Statement, Params]]) -> str:
        return next((self._names[statement] for statement, _ in work if statement in self._names), "read")

    def install(self) -> None:
        """Put the points into this process, for good."""
        run_all, transaction, complete = Database.run_all, Database.transaction, OpenAICompatibleProvider.complete

        def run_all_(
            db: Database, tenant_id: str | None, *work: tuple[Statement, Params], answer_s: float | None = None
        ) -> list[list[Row]]:
            name = self._name(work)
            self.reach(f"before {name}")
            within = f"within {name}"
            if tenant_id is not None and self._is_next(within):
                # As one implicit transaction it has no moment between its work and its commit.
                with transaction(db, tenant_id) as execute:
                    rows = [_fetched(execute, *one) for one in work]
                    self.reach(within)
            else:
                rows = run_all(db, tenant_id, *work, answer_s=answer_s)
                self.reach(within)
            self.reach(f"after {name}")
            return rows

        @contextmanager
        def transaction_(db: Database, tenant_id: str) -> Iterator[Callable[[Statement, Params], list[Row]]]:
            with transaction(db, tenant_id) as execute:

                def execute_(statement: Statement, params: Params) -> list[Row]:
                    name = self._name([(statement, params)])
                    self.reach(f"before {name}")
                    rows = execute(statement, params)
                    self.reach(f"within {name}")
                    return rows

                yield execute_
            self.reach("after claim")

        def complete_(provider: OpenAICompatibleProvider, request: Request) -> Completion:
            self.reach("before call")
            if self._is_next("sent call"):
                completion = self._while_asked(request, lambda: complete(provider, request))
            else:
                self.reach("sent call")
                completion = complete(provider, request)
            self.reach("after call")
            return completion

        for owner, name, replacement in (
            (Database, "run_all", run_all_),
            (Database, "transaction", transaction_),
            (OpenAICompatibleProvider, "complete", complete_),
        ):
            setattr(owner, name, replacement)

    def _while_asked(self, request: Request, complete: Callable[[], Completion]) -> Completion:
        """Be at the point `sent call` once the provider has written the request down."""
        answered: list[Completion] = []
        with self._provider_log.open(encoding="utf-8") as log:
            log.seek(0, os.SEEK_END)
            asking = threading.Thread(target=lambda: answered.append(complete()))
            asking.start()
            seen, deadline = "", time.monotonic() + _DEADLINE_S
            while request.call_id not in seen and asking.is_alive() and time.monotonic() < deadline:
                time.sleep(0.001)
                seen += log.read()
        self.reach("sent call")
        asking.join()
        return answered[0]


def _fetched(execute: Callable[[Statement, Params], list[Row]], statement: Statement, params: Params) -> list[Any]:
    with suppress(psycopg.ProgrammingError):  # it returns no rows
        return execute(statement, params)
    return []
