"""The honest tenants' turns. They are posted at a fixed rate, and each is served by the next process that is idle."""

import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from uuid import UUID

from uuid6 import uuid7

from shared.db.api.sessions import record_session
from shared.db.engine import ANSWER_S, Database
from shared.settings import settings
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn
from tests.soak.hostile.did import Did, Latency
from tests.soak.hostile.provider import MeteredProvider
from tests.soak.hostile.schedule import Schedule
from tests.soak.hostile.tenants import COUNCIL

_KINDS = (("tag", "@writer hello"), ("roundtable", "hello"), ("orchestrator", "hello"))
# This process has time for its session and its connection before the turn is posted.
_EARLY_S = 0.5


class HonestProcess:
    """Serves one turn at a time. `taken` counts the arrivals that the processes have taken between them."""

    def __init__(self, tenants: Sequence[str], arrivals: Sequence[float], taken: "Synchronized[int]", log: int) -> None:
        self.did = Did()
        self._tenants, self._arrivals, self._taken = tenants, arrivals, taken
        self._db = Database(settings().app_database_url, answer_s=ANSWER_S)
        self._runner = Runner(self._db, MeteredProvider(log), lambda: 600.0)

    def run(self, schedule: Schedule) -> None:
        while (number := self._take_number()) < len(self._arrivals):
            at, tenant = self._arrivals[number], self._tenants[number % len(self._tenants)]
            mode, message = _KINDS[number % len(_KINDS)]
            try:
                _sleep_until(schedule.began + at - _EARLY_S)
                request = TurnRequest(tenant, "user-1", self._make_session(tenant, mode), message)
                _sleep_until(schedule.began + at)
                self._post(request, at, schedule)
            except Exception as error:  # noqa: BLE001 an honest turn must not fail, for whatever reason
                self.did.found.append(("told", f"{tenant} was answered {type(error).__name__}: {error}"))

    def _post(self, request: TurnRequest, at: float, schedule: Schedule) -> None:
        outcome = take_turn(self._runner, request)
        self.did.latencies.append(Latency(at, schedule.now() - at))
        self.did.answers[outcome.status] += 1
        if outcome.status != "completed" or outcome.fallbacks or outcome.faults:
            self.did.found.append(("told", f"a turn of {request.tenant_id} is {outcome.status}: {outcome.fallbacks}"))

    def _take_number(self) -> int:
        with self._taken.get_lock():
            self._taken.value += 1
            return self._taken.value - 1

    def _make_session(self, tenant: str, mode: str) -> UUID:
        session_id = uuid7()
        fields: dict[str, object] = {"title": "", "mode": mode, "agent_keys": list(COUNCIL), "fan_out": "sequential"}
        record_session(self._db, tenant, "user-1", session_id, fields)
        return session_id


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
