"""The steps of the turn protocol, one `.sql` file each, and the reads of the functions that run turns.

docs/transactions.md describes the steps. SQLAlchemy is not imported here, because each cold start would pay for it.
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
GIVE_UP: Final = load("give_up")
PUBLISH: Final = load("publish")
RECONCILE: Final = load("reconcile")
DELETE_SESSION: Final = load("delete_session")

# Raised by `accept.sql` as SQLSTATE: the budget does not cover the first call, or the first agent; the tenant has
# posted its turns of this minute, or has as many active turns as it may have, or a version of the roster was deleted.
REFUSED_MONEY: Final = ("PN001", "PN002")
REFUSED_OTHERS_FASTER: Final = ("PN003", "PN004", "PN005")

LOAD_NEW_TURN: Final = load("load_new_turn")
LOAD_SAME_REQUEST: Final = load("load_same_request")
LOAD_RESUMED_TURN: Final = load("load_resumed_turn")
LOAD_CALLS: Final = load("load_calls")
LOAD_GIVEN_UP: Final = load("load_given_up")
# The checkpointer of graphs. Its tables may be missing.
FIND_CHECKPOINTER: Final = load("find_checkpointer")
LOAD_CHECKPOINTER_VERSION: Final = load("load_checkpointer_version")
LOAD_CHECKPOINT: Final = load("load_checkpoint")

# The number of past turns that a turn loads: enough to fill the largest window of the catalog.
HISTORY_TURNS: Final = 50
# A turn is given up after this number of claims without a new outcome. One more means that giving it up failed, too.
FRUITLESS_CLAIMS: Final = 3
