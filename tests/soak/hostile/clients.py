"""The clients of hostile tenants. In hostile parts, each posts a turn as soon as the one before is answered
and API Gateway lets the next one in."""

import random
import time
from dataclasses import dataclass, field
from uuid import UUID

from uuid6 import uuid7

from shared.db.api.sessions import record_session
from shared.db.engine import ANSWER_S, Database
from shared.errors import PantheonError, PublishFailed
from shared.llm.port import Request
from shared.settings import settings
from shared.turns.draft import TurnRequest
from shared.turns.run import Runner, take_turn
from tests.soak.hostile.attacks import ATTACKS, Attack
from tests.soak.hostile.did import Did
from tests.soak.hostile.gateway import Gateway
from tests.soak.hostile.hand import Hand
from tests.soak.hostile.provider import Killed, MeteredProvider
from tests.soak.hostile.schedule import Schedule

_AMPLE_S = 600.0
# Turns of a session before the client makes a new one. Some, so that histories and summaries come up.
_TURNS_PER_SESSION = 4


@dataclass
class HostileClient:
    """One client of `tenant`, in a thread of its own. `log` is the provider's, open for appending."""

    tenant: str
    number: int
    seed: int
    log: int
    hand: Hand
    gateway: Gateway
    did: Did = field(default_factory=Did)

    def run(self, schedule: Schedule) -> None:
        self._rng = random.Random(f"{self.seed}:{self.number}")
        self._db = Database(settings().app_database_url, answer_s=ANSWER_S)
        self._sessions: dict[int, tuple[UUID, int]] = {}
        while (at := schedule.now()) < schedule.seconds:
            if pause := schedule.pause_s(at):
                time.sleep(pause)
                continue
            try:
                self._attack(self._rng.randrange(len(ATTACKS)))
            except PublishFailed as error:
                self.did.crashed(self.tenant, error)
            except PantheonError as error:
                self.did.refused(error)
            except Killed as killed:
                self.did.answers["killed"] += 1
                self.hand.expire_lease(killed.turn_id)
            except Exception as error:  # noqa: BLE001 whatever it is, it was found
                self.did.crashed(self.tenant, error)
        self._db.close()

    def _attack(self, which: int) -> None:
        attack = ATTACKS[which]
        for _ in range(attack.later):
            self._take(attack, self._make_session(attack), later=True)
        if not attack.later:
            self._take(attack, self._session(which, attack))

    def _take(self, attack: Attack, session_id: UUID, *, later: bool = False) -> None:
        self.gateway.enter()
        waiting = [True]

        def meanwhile(request: Request) -> None:
            if waiting and waiting.pop():
                self._meddle(attack, UUID(request.turn_id), session_id)

        provider = MeteredProvider(self.log, lambda: self._rng.choice(attack.moods), lambda: attack.helped, meanwhile)
        seconds_left = iter((_AMPLE_S,)) if attack.hands_over else None
        runner = Runner(self._db, provider, lambda: _AMPLE_S if seconds_left is None else next(seconds_left, 0.0))
        request = TurnRequest(self.tenant, "user-1", session_id, attack.message, later=later)
        outcome = take_turn(runner, request)
        self.did.answers[outcome.status] += 1
        for what, error in outcome.faults:
            self.did.crashed(what, error)

    def _meddle(self, attack: Attack, turn_id: UUID, session_id: UUID) -> None:
        match attack.meanwhile:
            case "cancel":
                self.hand.cancel(self.tenant, turn_id)
            case "delete":
                self.hand.delete(self.tenant, session_id)
            case "overtake":
                self.hand.expire_lease(turn_id)
                # Time for a worker to claim the turn. Then the outcome of this call comes late.
                time.sleep(0.2)

    def _session(self, which: int, attack: Attack) -> UUID:
        session_id, used = self._sessions.get(which, (None, _TURNS_PER_SESSION))
        # A killed or deleted turn leaves its session busy or gone.
        again = attack.meanwhile is None and not any("killed" in mood for mood in attack.moods)
        if session_id is None or used == _TURNS_PER_SESSION or not again:
            session_id, used = self._make_session(attack), 0
        self._sessions[which] = (session_id, used + 1)
        return session_id

    def _make_session(self, attack: Attack) -> UUID:
        session_id = uuid7()
        fields: dict[str, object] = {"title": "", "mode": attack.mode, "agent_keys": list(attack.keys)}
        record_session(self._db, self.tenant, "user-1", session_id, {**fields, "fan_out": attack.fan_out})
        return session_id
