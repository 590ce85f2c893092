"""The Lambda functions, one entry each: a new function is one entry here, and its routes in `api.py`."""

from dataclasses import dataclass
from typing import Final

from shared.names import Role

# API Gateway gives up after 30 seconds; a function that is killed a second earlier has logged why.
HTTP_SECONDS: Final = 29
# What a posted turn may take before it is handed over. The rest of the function's time is for publishing it.
TURN_SECONDS: Final = 25
# Lambda's longest.
LONGEST_SECONDS: Final = 900
# For as long a message is hidden: longer than a worker can run, so that it is never with two while one is at it.
HIDDEN_SECONDS: Final = LONGEST_SECONDS + 60


@dataclass(frozen=True)
class Entry:
    """`name` is the package under `functions`. `role` is the database role that it connects as, None for the owner.
    `serves`: it answers HTTP; `sends`: it writes to the queue; `asks`: it calls models; `reads_log`: it reads the
    provider's. `schedule` is how often it is invoked. `snap_start` is worth its price where somebody waits."""

    name: str
    role: Role | None
    seconds: int
    serves: bool = False
    sends: bool = False
    asks: bool = False
    reads_log: bool = False
    schedule: str | None = None
    snap_start: bool = True

    @property
    def handler(self) -> str:
        return f"functions.{self.name}.handler.handler"

    @property
    def title(self) -> str:
        """The construct's id."""
        return self.name.title()


ADMIN: Final = Entry("admin", Role.OPS, HTTP_SECONDS, serves=True, snap_start=False)
API: Final = Entry("api", Role.APP, HTTP_SECONDS, serves=True)
TURNS: Final = Entry("turns", Role.APP, HTTP_SECONDS, serves=True, sends=True, asks=True)
WORKER: Final = Entry("worker", Role.APP, LONGEST_SECONDS, sends=True, asks=True)
SWEEPER: Final = Entry("sweeper", Role.OPS, 55, sends=True, schedule="rate(1 minute)", snap_start=False)
RECONCILER: Final = Entry("reconciler", Role.OPS, 600, reads_log=True, schedule="rate(1 hour)", snap_start=False)
MIGRATE: Final = Entry("migrate", None, LONGEST_SECONDS, snap_start=False)

# What serves a release, and so is shifted to it. The migration runs before.
RELEASED: Final = (ADMIN, API, TURNS, WORKER, SWEEPER, RECONCILER)
ENTRIES: Final = (*RELEASED, MIGRATE)
