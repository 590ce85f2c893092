"""The workers: they resume turns that wait for the queue or whose runner died, one of each tenant in turn."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from shared.db.engine import ANSWER_S, Database
from shared.errors import PantheonError, PublishFailed
from shared.settings import settings
from shared.turns.run import Runner, resume_turn
from tests.soak.hostile.attacks import any_mood
from tests.soak.hostile.did import Did
from tests.soak.hostile.hand import Hand
from tests.soak.hostile.provider import Killed, MeteredProvider
from tests.soak.hostile.schedule import Schedule

_POLL_S = 0.1
# The number of turns that a worker takes at once, each of another tenant, as a queue with fair groups delivers them.
_BATCH = 10
_DUE = b"""SELECT id, tenant_id FROM (
    SELECT DISTINCT ON (tenant_id) id, tenant_id FROM turns
    WHERE status = 'accepted' OR status = 'running' AND lease_expires_at < clock_timestamp()
    ORDER BY tenant_id, random()
) due ORDER BY random() LIMIT %s"""


@dataclass
class Worker:
    """One worker, in a thread of its own. `log` is the provider's, open for appending."""

    number: int
    seed: int
    log: int
    owner_url: str
    hand: Hand
    did: Did = field(default_factory=Did)

    def run(self, schedule: Schedule, goes_on: Callable[[], bool]) -> None:
        rng = random.Random(f"{self.seed}:worker:{self.number}")
        db = Database(settings().app_database_url, answer_s=ANSWER_S)
        provider = MeteredProvider(self.log, lambda: any_mood(rng), lambda: rng.random() < 0.5)
        runner = Runner(db, provider, lambda: 600.0)
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            while goes_on():
                due = owner.execute(_DUE, (_BATCH,)).fetchall()
                for turn_id, tenant in due:
                    if not schedule.pause_s(schedule.now()):
                        self._resume(runner, tenant, turn_id)
                time.sleep(_pause_s(schedule, found=bool(due)))
        db.close()

    def _resume(self, runner: Runner, tenant: str, turn_id: UUID) -> None:
        try:
            outcome = resume_turn(runner, tenant, turn_id)
        except Killed as killed:
            self.did.answers["killed worker"] += 1
            self.hand.expire_lease(killed.turn_id)
        except PublishFailed as error:
            self.did.crashed(tenant, error)
        except PantheonError as error:
            self.did.refused(error)
        except Exception as error:  # noqa: BLE001 whatever it is, it was found
            self.did.crashed(tenant, error)
        else:
            if outcome is not None:
                self.did.answers["resumed"] += 1
                self.did.answers["given up"] += outcome.abandoned


def _pause_s(schedule: Schedule, *, found: bool) -> float:
    return schedule.pause_s(schedule.now()) or (0.0 if found else _POLL_S)
