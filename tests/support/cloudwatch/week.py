"""A week of a stage in service, so that its dashboards have something to show: three tenants who work by day, models
that err now and then, and on the last day everything that a day of `day.py` has.

There are more turns each day. In the first six days a sweep stands for its hour, on the last for ten minutes.
"""

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from functions.worker import handler as worker
from infra_cdk.stages import PROD
from shared.domain.money import Usage
from shared.llm.port import Completion, OnText, Request
from tests.support.cloudwatch import day
from tests.support.cloudwatch.metrics import Metrics, Named
from tests.support.cloudwatch.service import Service
from tests.support.council_room import USAGE, CouncilRoom, answer, unknown
from tests.support.invocation_records import invocation

TENANTS = ("acme", "globex", "initech")
DAYS, HOUR_S, SLICE_S = 7, 3600, 600
_WORDS = "We should ship the smaller change first, measure it, and decide about the rest on Thursday."


@dataclass
class Models:
    """A provider whose answers take some milliseconds and some tokens, and are now and then none."""

    chance: random.Random = field(default_factory=lambda: random.Random(20261125))

    def complete(self, request: Request, _on_text: OnText | None = None) -> Completion:
        time.sleep(self.chance.uniform(0.002, 0.012))
        dice = self.chance.random()
        if dice < 0.006:
            return unknown()
        text = _WORDS if request.response_schema is None or dice < 0.05 else self._structured(request)
        prompt, cached = self.chance.randint(1500, 9000), self.chance.random() < 0.4
        usage = Usage(
            input_tokens=prompt // 4 if cached else prompt,
            output_tokens=min(self.chance.randint(40, 400), request.max_output_tokens),
            cache_read_tokens=prompt * 3 // 4 if cached else 0,
            reasoning_tokens=self.chance.randint(0, 40),
        )
        return answer(text, usage)

    def _structured(self, request: Request) -> str:
        assert request.response_schema is not None
        if "selected_agent_keys" in str(request.response_schema):
            return json.dumps({"selected_agent_keys": self.chance.sample(["writer", "researcher", "critic"], 2)})
        if "ranking" in str(request.response_schema):
            return json.dumps({"ranking": self.chance.choice((["A", "B"], ["A", "C"], ["B", "C"]))})
        return json.dumps({"add": {}, "replace": [], "close": []})


@dataclass
class Week:
    """`rooms` are of several tenants in one database; `start` is its first moment in seconds."""

    service: Service
    rooms: Sequence[CouncilRoom]
    # What its dashboards read.
    watched: Sequence[Named]
    patch: pytest.MonkeyPatch
    start: float
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    sessions: dict[str, UUID] = field(default_factory=dict)
    # Turns that the queue has, with the rooms of their tenants.
    waiting: list[tuple[CouncilRoom, UUID]] = field(default_factory=list)

    def live(self) -> None:
        models = Models()
        last = (DAYS - 1) * 24 * HOUR_S
        slices = [(at, HOUR_S) for at in range(0, last, HOUR_S)]
        slices += [(at, SLICE_S) for at in range(last, DAYS * 24 * HOUR_S, SLICE_S)]
        for at, seconds in slices:
            self.service.now = self.start + at
            with self.patch.context() as patched:
                for module in (self.service.turns, worker):
                    patched.setattr(module, "provider", lambda: models)
                self._work(at, seconds)
            self._happen((at - last) // SLICE_S)
            self._watch(seconds)

    def _work(self, at: float, seconds: float) -> None:
        for room, turn_id in self.waiting:
            self.service.room = room
            self.service.deliver(turn_id)
        self.waiting.clear()
        expected = self._busy() * (1 + at / (24 * HOUR_S)) * seconds / HOUR_S
        for _ in range(sum(self.chance.random() < expected / 12 for _ in range(12))):
            self._take_turn()

    def _watch(self, seconds: float) -> None:
        self.service.sweep()
        if self.service.now % (3 * HOUR_S if seconds == HOUR_S else HOUR_S) == 0:
            # The provider's log is hours behind, and knows half of the calls that were lost.
            lost = self.rooms[0].rows(
                "SELECT call_id FROM llm_calls WHERE status = 'unknown' AND posted_at IS NOT NULL"
            )
            known = lost[: len(lost) // 2]
            self.service.reconcile(*(invocation(row["call_id"], USAGE, PROD.name) for row in known))
        give(self.service.metrics, self.watched, self.service.now, self._busy(), self.chance)

    def _busy(self) -> float:
        """Nights are quiet."""
        return 0.3 + max(0.0, 1.5 * math.sin((self.service.now / HOUR_S % 24 - 6) / 24 * 2 * math.pi))

    def _take_turn(self) -> None:
        self.service.room = self.chance.choices(self.rooms, (6, 3, 1))[0]
        tenant = self.service.room.tenant_id
        if any(room is self.service.room for room, _ in self.waiting):
            # Its session is taken.
            return
        if tenant not in self.sessions or self.chance.random() < 0.04:
            self.sessions[tenant] = self.service.room.make_session()
        mode = self.chance.choice(("tag", "manual", "roundtable", "orchestrator", "orchestrator", "council"))
        later = self.chance.random() < 0.1
        text = "@writer @researcher what next?" if mode == "tag" else "What next?"
        posted = self.service.post(text, session_id=self.sessions[tenant], mode=mode, later=later)
        if later:
            self.waiting.append((self.service.room, UUID(json.loads(posted["body"])["id"])))

    def _happen(self, number: int) -> None:
        """What a bad day has, an hour after the other."""
        self.service.room = self.rooms[0]
        parts: dict[int, Callable[[Service], None]] = {
            48: day.faults,
            60: day.wait_conflict_and_cancel,
            75: day.kill_and_resume,
            87: day.give_up,
            100: lambda service: day.outages(service, self.patch),
        }
        if part := parts.get(number):
            part(self.service)


def give(metrics: Metrics, named: Sequence[Named], moment: float, busy: float, chance: random.Random) -> None:
    """What AWS would measure of database, proxy and queue, which are not there. The units are AWS's: bytes, per cent,
    seconds, numbers."""
    values = {
        "DatabaseConnections": round(6 + 8 * busy + chance.random() * 3),
        "CPUUtilization": 4 + 12 * busy + chance.random() * 2,
        "FreeStorageSpace": 93e9 - moment % (30 * 24 * HOUR_S) * 300,
        "DatabaseConnectionsCurrentlySessionPinned": 0,
        "ApproximateAgeOfOldestMessage": chance.randint(0, 3),
        "ApproximateNumberOfMessagesVisible": 0,
    }
    for metric in named:
        if metric.namespace in ("AWS/RDS", "AWS/SQS"):
            metrics.put(metric, moment, values[metric.name])
