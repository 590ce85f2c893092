"""The steps of the turn protocol, one `.sql` file each, and what the functions that run turns read.

docs/transactions.md says what each step does. SQLAlchemy is not imported here: a start of these functions would pay for
it.
"""

from typing import Final

from shared.db.statement import load

# One exchange each, and one transaction. The caller gives parameters of the turn with `t_` before them, of the outcome
# to record with `o_` (`o_call_id` None where there is none), and of the calls to write down with `i_`.
ACCEPT: Final = load("accept")
OPEN: Final = load("open")
RECORD: Final = load("record")
RELEASE: Final = load("release")
CLAIM: Final = load("claim")
FORFEIT: Final = load("forfeit")
PUBLISH: Final = load("publish")
RECONCILE: Final = load("reconcile")
SCRUB: Final = load("scrub")

# Raised by `accept.sql` as SQLSTATE: the budget does not cover the first call; the tenant has nothing left.
REFUSED_HOLD: Final = "PN001"
REFUSED_TENANT: Final = "PN002"

LOAD_NEW_TURN: Final = load("load_new_turn")
LOAD_RESUMED_TURN: Final = load("load_resumed_turn")
LOAD_CALLS: Final = load("load_calls")
LOAD_GIVEN_UP: Final = load("load_given_up")

# How many past turns a turn loads: as many as are worth sending to the largest window of the catalog.
HISTORY_TURNS: Final = 50
# After so many claims that brought nothing a turn is given up. One more means that giving it up failed as well.
FRUITLESS_CLAIMS: Final = 3
