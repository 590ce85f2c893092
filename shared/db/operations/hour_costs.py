"""Read what this hour has cost over all tenants, and what the same hour cost on the last seven days."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from shared.db.engine import Database
from shared.db.operations.time_limit import read_within
from shared.db.statement import load

_LOAD = load("load_hours")


@dataclass(frozen=True, slots=True)
class Hours:
    """USD of the calls that were posted in this hour so far, and in the same hour of the seven days before."""

    now_usd: Decimal
    before_usd: Sequence[Decimal]

    @property
    def usual_usd(self) -> Decimal:
        """The median of the days before. One day on which cost ran away does not raise it."""
        return median(self.before_usd)


def load_hours(db: Database, seconds: float) -> Hours:
    """`db` is in the role for operations. Raises DatabaseUnavailable after `seconds`."""
    (rows,) = read_within(db, seconds, (_LOAD, {}))
    now_usd, *before_usd = (row["usd"] for row in rows)
    return Hours(now_usd, before_usd)
