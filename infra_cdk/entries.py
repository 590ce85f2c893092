"""The Lambda functions, one entry each. The routes of a new function are in `shared/names.py`."""

import re
from dataclasses import dataclass
from typing import Final

from shared.names import Role

# API Gateway answers 504 after 29 seconds. Lambda ends a function a second earlier, so that its log says why.
INTEGRATION_SECONDS: Final = 29
HTTP_SECONDS: Final = INTEGRATION_SECONDS - 1
# A streamed answer may take 15 minutes.
STREAM_SECONDS: Final = 900
# The part of the time of `turns` that is for publishing a turn, also while the database does not answer. The turn has
# the rest: PANTHEON_TURN_SECONDS, 240 by default. A stage that sets another time has `Stage.turns_seconds`.
PUBLISH_SECONDS: Final = 60
TURNS_SECONDS: Final = 240 + PUBLISH_SECONDS
# Lambda's longest.
LONGEST_SECONDS: Final = 900
# For as long a message is hidden: longer than a worker can run, so that it is never with two while one is at it.
HIDDEN_SECONDS: Final = LONGEST_SECONDS + 60


_RATE: Final = re.compile(r"rate\(([1-9][0-9]*) (minutes?|hours?)\)")
# Layers of libraries: one with frameworks and SQLAlchemy, one with what verifies tokens, one with LangGraph.
DEPENDENCIES, VERIFICATION, LANGGRAPH = "dependencies", "verification", "langgraph"


@dataclass(frozen=True)
class Entry:
    """A function. `name` is the package under `functions`. It connects to the database as `role`, if it has one.

    `serves`: it answers HTTP. `streams`: it streams its answers, so it runs the loop of functions/runtime.py. `sends`:
    it writes to the queue. `names_graphs`: it knows the names of graphs. `sends_graphs`: it writes to their queue.
    `runs_graphs`: it has LangGraph and the graphs. `asks`: it calls models. `reads_catalog`: it knows the models.
    `reads_log`: it reads the provider's log. `reads_budgets`: it holds against budgets, settles or shows them.
    `reads_keys` and `writes_keys`: it reads or writes the issuer's keys. `schedule` is how often it is invoked.
    `in_network`: it runs in the network, from which only those that ask reach the internet, if the stage lets them.
    `snap_start` is worth its price where somebody waits."""

    name: str
    role: Role | None
    seconds: int
    serves: bool = False
    streams: bool = False
    sends: bool = False
    names_graphs: bool = False
    sends_graphs: bool = False
    runs_graphs: bool = False
    asks: bool = False
    reads_catalog: bool = False
    reads_log: bool = False
    reads_budgets: bool = False
    reads_keys: bool = False
    writes_keys: bool = False
    schedule: str | None = None
    in_network: bool = True
    snap_start: bool = True

    @property
    def handler(self) -> str:
        return f"functions.{self.name}.handler.handler"

    @property
    def libraries(self) -> str:
        """The layer of libraries that it runs with."""
        if self.runs_graphs:
            return LANGGRAPH
        return VERIFICATION if self.reads_keys or self.writes_keys else DEPENDENCIES

    @property
    def every_s(self) -> int | None:
        """The seconds between two scheduled runs. None without a schedule."""
        if self.schedule is None:
            return None
        found = _RATE.fullmatch(self.schedule)
        if found is None:
            raise ValueError(f"{self.name}: {self.schedule!r} is not rate(N minutes) or rate(N hours).")
        return int(found[1]) * (3600 if found[2].startswith("hour") else 60)

    @property
    def title(self) -> str:
        """The construct's id."""
        return self.name.title()


ADMIN: Final = Entry("admin", Role.OPERATOR, HTTP_SECONDS, serves=True, reads_budgets=True, snap_start=False)
API: Final = Entry(
    "api", Role.APP, HTTP_SECONDS, serves=True, names_graphs=True, reads_catalog=True, reads_budgets=True
)
TURNS: Final = Entry(
    "turns",
    Role.APP,
    TURNS_SECONDS,
    serves=True,
    streams=True,
    sends=True,
    names_graphs=True,
    sends_graphs=True,
    asks=True,
    reads_catalog=True,
    reads_budgets=True,
)
AUTHORIZER: Final = Entry("authorizer", Role.AUTH, 10, reads_keys=True)
WORKER: Final = Entry(
    "worker",
    Role.APP,
    LONGEST_SECONDS,
    sends=True,
    names_graphs=True,
    asks=True,
    reads_catalog=True,
    reads_budgets=True,
)
# Only a stage with graphs has it. A snapshot would be too expensive for a function that nobody waits for.
GRAPHS: Final = Entry(
    "graphs",
    Role.APP,
    LONGEST_SECONDS,
    names_graphs=True,
    sends_graphs=True,
    runs_graphs=True,
    asks=True,
    reads_catalog=True,
    reads_budgets=True,
    snap_start=False,
)
SWEEPER: Final = Entry(
    "sweeper", Role.OPS, 55, sends=True, sends_graphs=True, schedule="rate(1 minute)", snap_start=False
)
RECONCILER: Final = Entry(
    "reconciler",
    Role.OPS,
    600,
    reads_catalog=True,
    reads_log=True,
    reads_budgets=True,
    schedule="rate(1 hour)",
    snap_start=False,
)
# It reaches the internet from outside the network. It has no right on the database.
JWKS: Final = Entry("jwks", None, 30, writes_keys=True, schedule="rate(5 minutes)", in_network=False, snap_start=False)
# It connects as the owner, whose password RDS keeps.
MIGRATE: Final = Entry("migrate", None, LONGEST_SECONDS, snap_start=False)

# What serves a release, and so is shifted to it. The migration runs before.
RELEASED: Final = (ADMIN, API, TURNS, AUTHORIZER, WORKER, SWEEPER, RECONCILER, JWKS)
ENTRIES: Final = (*RELEASED, MIGRATE)
# The same of a stage with graphs.
WITH_GRAPHS: Final = (*ENTRIES, GRAPHS)
SCHEDULED: Final = tuple(entry for entry in ENTRIES if entry.schedule is not None)
# These raise, and Lambda counts their errors. The others answer or go on, so they count their failures themselves.
RAISING: Final = (AUTHORIZER, JWKS)
COUNTING: Final = tuple(entry for entry in RELEASED if entry not in RAISING)
