"""The reconciler during a run: every few seconds it settles the calls of the log's newest part that are in suspense."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.db.engine import Database
from shared.errors import DatabaseUnavailable
from shared.reconciliation.plain_log import read_plain_log
from shared.reconciliation.reconcile import reconcile
from shared.settings import operations_settings
from tests.soak.hostile.did import Did
from tests.soak.hostile.schedule import Schedule

_EVERY_S = 3.0
# It goes on in short steps, so that it ends soon.
_STEP_S = 0.2


@dataclass
class Reconciler:
    """Reads the provider's `log`. The end of a run settles what it leaves."""

    log: Path
    did: Did

    def run(self, schedule: Schedule, goes_on: Callable[[], bool]) -> None:
        """Settle in hostile parts only, because this load belongs to hostile turns."""
        db = Database(operations_settings().ops_database_url)
        # The newest part of the log waits for the next time, when most of its turns have ended.
        done = seen = 0
        due = time.monotonic()
        while goes_on():
            time.sleep(_STEP_S)
            if time.monotonic() < due or schedule.pause_s(schedule.now()):
                continue
            due = time.monotonic() + _EVERY_S
            self._settle(db, done, seen)
            done, seen = seen, self._whole_lines()
        db.close()

    def _settle(self, db: Database, begin: int, end: int) -> None:
        with self.log.open("rb") as log:
            log.seek(begin)
            part = io.BytesIO(log.read(end - begin))
        try:
            findings = reconcile(db, read_plain_log(part))
        except DatabaseUnavailable as error:
            self.did.refused(error)
            return
        self.did.answers["settled"] += len(findings.settled)
        if findings.unjournaled or findings.unreadable or findings.drifted:
            self.did.found.append(("lost", f"{findings.unjournaled}, {findings.unreadable}, {findings.drifted}"))

    def _whole_lines(self) -> int:
        """How many bytes of the log are whole lines. Each line is written at once, so that is all of it."""
        return self.log.stat().st_size
