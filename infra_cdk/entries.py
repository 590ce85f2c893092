"""List the Lambda functions. The routes of a new function are in `shared/names.py`."""

import re
from dataclasses import dataclass
from typing import Final

from shared.names import Role

# API Gateway answers 504 after 29 seconds. Lambda ends a function a second earlier, so that its log says why.
INTEGRATION_SECONDS: Final = 29
HTTP_SECONDS: Final = INTEGRATION_SECONDS - 1
# API Gateway's limit for a streamed answer: 15 minutes.
STREAM_SECONDS: Final = 900
# The time of `turns` for publishing a turn, also while the database does not answer. A turn has PANTHEON_TURN_SECONDS
# (240) before that. If a stage sets another time, `Stage.turns_seconds` is the sum.
PUBLISH_SECONDS: Final = 60
TURNS_SECONDS: Final = 240 + PUBLISH_SECONDS
# Lambda's longest timeout.
LONGEST_SECONDS: Final = 900
# The queue's visibility timeout is longer than a worker can run, so that two workers never have one message.
HIDDEN_SECONDS: Final = LONGEST_SECONDS + 60


_RATE: Final = re.compile(r"rate\(([1-9][0-9]*) (minutes?|hours?)\)")
# Layers of libraries: frameworks with SQLAlchemy, verification of tokens, LangGraph.
DEPENDENCIES, VERIFICATION, LANGGRAPH = "dependencies", "verification", "langgraph"


@dataclass(frozen=True)
class Entry:
    """A function and its needs. Rights, environment and alarms follow from these fields.

    Attributes:
        name: the package under `functions`.
        role: the database role that it connects as, if any.
        seconds: its timeout.
        serves: it answers HTTP.
        streams: it streams its answers, so it runs the loop of functions/runtime.py.
        sends: it writes to the queue.
        names_graphs: it knows the names of graphs.
        sends_graphs: it writes to the queue of graphs.
        runs_graphs: it has LangGraph and the graphs.
        asks: it calls models.
        reads_catalog: it knows the models.
        reads_log: it reads the provider's log.
        reads_budgets: it holds against budgets, settles or shows them.
        reads_keys, writes_keys: it reads or writes the issuer's keys.
        schedule: EventBridge's rate, if it is scheduled.
        in_network: it runs in the stage's network.
        snap_start: it starts from a snapshot, because clients wait for it.
    """

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
        """Return the name of its layer of libraries."""
        if self.runs_graphs:
            return LANGGRAPH
        return VERIFICATION if self.reads_keys or self.writes_keys else DEPENDENCIES

    @property
    def every_s(self) -> int | None:
        """Return the seconds between two scheduled runs, or None without a schedule."""
        if self.schedule is None:
            return None
        found = _RATE.fullmatch(self.schedule)
        if found is None:
            raise ValueError(f"{self.name}: {self.schedule!r} is not rate(N minutes) or rate(N hours).")
        return int(found[1]) * (3600 if found[2].startswith("hour") else 60)

    @property
    def title(self) -> str:
        """Return the construct's id."""
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
# Only a stage with graphs has it. It has no snapshot, because no client waits for it.
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
# It runs outside the network to reach the issuer, and has no right on the database.
JWKS: Final = Entry("jwks", None, 30, writes_keys=True, schedule="rate(5 minutes)", in_network=False, snap_start=False)
# It connects as the owner, whose password RDS stores.
MIGRATE: Final = Entry("migrate", None, LONGEST_SECONDS, snap_start=False)

# The functions whose traffic moves to a release. The migration runs before.
RELEASED: Final = (ADMIN, API, TURNS, AUTHORIZER, WORKER, SWEEPER, RECONCILER, JWKS)
ENTRIES: Final = (*RELEASED, MIGRATE)
# The functions of a stage with graphs.
WITH_GRAPHS: Final = (*ENTRIES, GRAPHS)
SCHEDULED: Final = tuple(entry for entry in ENTRIES if entry.schedule is not None)
# These raise, and Lambda counts their errors. The others catch errors and count their failures themselves.
RAISING: Final = (AUTHORIZER, JWKS)
COUNTING: Final = tuple(entry for entry in RELEASED if entry not in RAISING)
