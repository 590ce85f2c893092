"""The drill: every case in both directions, a shared conversation, and turns that run while the schema is migrated."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic import command

import migrations
from shared.db.schema.tables import MIGRATION_HEAD
from shared.names import Env
from tests.drill.cases import Case, cases
from tests.drill.gateways import AUDIENCE, ISSUER, event_for, of_http_api
from tests.drill.release import Release
from tests.drill.takeover import Takeover, ask, converse, deliver
from tests.faults.checks import Finding
from tests.faults.reconciled import settle
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import TurnUnderFault
from tests.faults.world import World

_CONVERSATIONS = 3
_SCHEDULE: dict[str, Any] = {}


@dataclass
class Drill:
    """`before` and `now` are the releases, `heads` their schemas. `found` has the findings by case."""

    world: World
    before: Release
    now: Release
    heads: tuple[str, str]
    say: Callable[[str], None]
    rng: random.Random = field(default_factory=lambda: random.Random(6))
    found: list[tuple[str, Finding]] = field(default_factory=list)

    def run(self) -> None:
        self.across_the_migration()
        for first, second in ((self.before, self.now), (self.now, self.before)):
            self.one_way(first, second, cases())
        self.conversations()
        self.other_gateways()
        self.operations()

    def across_the_migration(self) -> None:
        """Begin turns with the release before on its own schema, and let it serve while the newer one's
        migration runs.
        """
        old, new = self.heads
        if old == new:
            self.say(f"both releases have the schema {new}: no turn was under way while it moved")
            return
        begun = [Takeover.of(case, self.world, self.rng) for case in cases() if case.fate != "stopped"]
        command.downgrade(migrations.config(self.world.owner_url), old)
        for takeover in begun:
            takeover.begin(self.before)
        moved = self.now.invoke("migrate", _SCHEDULE)
        if moved != {"found": old, "left": new}:
            self._note("migration", [("drill", f"it moved the schema {moved}")])
        found = [takeover.finish(self.now, self.before, self.now) for takeover in begun]
        self._tell(f"begun by {self.before.name} on {old}, finished by {self.now.name} on {new}", begun, found)

    def one_way(self, first: Release, second: Release, tries: Iterable[Case]) -> None:
        tried, found = [], []
        for case in tries:
            takeover = Takeover.of(case, self.world, self.rng)
            takeover.begin(first)
            found.append(takeover.finish(second, first, second))
            tried.append(takeover)
        self._tell(f"begun by {first.name}, finished by {second.name}", tried, found)

    def conversations(self) -> None:
        found = [converse(self.world, order, self.rng) for order in self._orders() for _ in range(_CONVERSATIONS)]
        for one in found:
            self._note("conversation", one)
        self.say(f"{len(found)} sessions whose turns both releases took by turns: {_outcome(found)}")

    def other_gateways(self) -> None:
        """Send each release the events of the other one's gateway. It refuses them, accepts no turn and spends nothing.

        Either gateway can reach either release during a deployment.
        """
        turn = TurnUnderFault.begin(self.world, SCENARIOS["one agent"], self.rng)
        event = turn.post_job().event
        for release in (self.before, self.now):
            sent = event_for(release.folder, event)
            other = of_http_api(event) if sent is event else event
            answer = release.invoke("turns", other)
            if answer["statusCode"] != 401 or turn.row() is not None or self.world.requests():
                self._note(f"{release.name} behind the other gateway", [("spent", str(answer)[:200])])
        self.say("each release refused the events of the other one's gateway, without a turn or a call")

    def operations(self) -> None:
        """Run the sweeper and the reconciler of both releases. Calls in the provider's log must leave suspense."""
        for release in (self.before, self.now):
            self._note(f"{release.name}'s sweeper", self._sweep(release))
        settled, found = settle(self.world)
        self._note("reconciliation", found)
        self.say(f"both sweepers ran; {settled} calls left suspense by the provider's log: {_outcome([found])}")

    def _sweep(self, release: Release) -> list[Finding]:
        """Check that a sweep sends a turn that waits, even if the sweep fails later."""
        turn = TurnUnderFault.begin(self.world, SCENARIOS["posted for later"], self.rng)
        ask(turn, release, turn.post_job())
        due = "UPDATE turns SET dispatch_after = now() WHERE idempotency_key = %s RETURNING dispatch_after"
        waited = self.world.rows(due, turn.key)
        found: list[Finding] = []
        try:
            swept = release.invoke("sweeper", _SCHEDULE)
            if swept.get("broken") or swept.get("unchecked") or swept.get("failed"):
                found.append(("invariant", str(swept)))
        except AssertionError as error:
            found.append(("refused", str(error)[:300]))
        row = turn.row()
        if row is None or row["dispatch_after"] == waited[0]["dispatch_after"]:
            found.append(("stuck", f"turn {turn.key} was not sent"))
        deliver(turn, release)
        return found + turn.findings

    def _orders(self) -> Iterator[tuple[Release, Release]]:
        yield self.before, self.now
        yield self.now, self.before

    def _note(self, where: str, findings: list[Finding]) -> None:
        """Note a broken invariant once: it stays broken in the cases after it."""
        known = {finding for _, finding in self.found}
        fresh = (finding for finding in findings if finding[0] != "invariant" or finding not in known)
        self.found += [(where, finding) for finding in fresh]

    def _tell(self, what: str, tried: list[Takeover], found: list[list[Finding]]) -> None:
        for takeover, findings in zip(tried, found, strict=True):
            self._note(f"{what}: {takeover.case}", findings)
        fates = Counter(takeover.case.fate for takeover in tried)
        calls = sum(len(takeover.turn.requests) for takeover in tried)
        self.say(f"{len(tried)} turns {what} ({dict(fates)}, {calls} calls): {_outcome(found)}")


def _outcome(found: list[list[Finding]]) -> str:
    kinds = Counter(kind for findings in found for kind, _ in findings)
    return str(dict(kinds)) if kinds else "nothing found"


@contextmanager
def prepare(before: Path, now: Path, name: str, say: Callable[[str], None]) -> Iterator[Drill]:
    """Start a server with the newer schema, a provider and both releases from these folders. `name` is the
    older one's.
    """
    with tempfile.TemporaryDirectory(prefix="pantheon-drill-") as directory, World(Path(directory)) as world:
        # The migration changes the schema under it.
        world.owner.prepare_threshold = None
        environ = world.environ(
            {
                Env.OWNER_DATABASE_URL: world.owner_url,
                # A release before the authorizer compares claims with these.
                Env.JWT_ISSUER: ISSUER,
                Env.JWT_AUDIENCE: AUDIENCE,
                # While the schema moves, more turns are active than a tenant may have by default.
                Env.TENANT_ACTIVE_TURNS: "0",
            }
        )
        log = Path(directory) / "handlers.log"
        older, newer = Release(name, before, environ, log), Release("this release", now, environ, log)
        try:
            yield Drill(world, older, newer, (head(before), MIGRATION_HEAD), say)
        finally:
            older.close()
            newer.close()


def head(folder: Path) -> str:
    """Return the newest migration in a release's code."""
    return max(path.name.partition("_")[0] for path in (folder / "migrations" / "versions").glob("[0-9]*.py"))
