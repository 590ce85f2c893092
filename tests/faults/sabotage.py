"""Takes guards out of a forked process, so that the harness can show that it notices. Production code has no switch for
it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from shared.catalog import Model
from shared.db.engine import Database, Params, Row, Statement
from shared.db.protocol import LOAD_NEW_TURN
from shared.llm.openai_compatible import OpenAICompatibleProvider
from shared.llm.port import Completion, OnText, Request
from shared.orchestration import council, reviews
from shared.orchestration.attempts import Asker
from shared.orchestration.steps import Ask, Attempt, Refused
from shared.turns import journal
from tests.faults import sabotage_live
from tests.faults.replaced import replaced
from tests.support.sql_edits import apply, edited


@dataclass(frozen=True)
class Sabotage:
    """`commit` breaks this process. `sql` breaks the database, and `repair` mends it.

    At least one of the findings `caught_as` must be made in the row `row` of the matrix.
    """

    title: str
    commit: Callable[[], None]
    row: str
    caught_as: frozenset[str]
    sql: str = ""
    repair: str = ""


_MONEY = frozenset({"hold", "paid", "invariant"})


def _journal_off() -> None:
    """Send a call first, and journal it after its answer."""

    def attempt(asker: Asker, ask: Ask, model: Model, tried: Sequence[Attempt]) -> Attempt | Refused:
        request = asker._request(ask, model, tried)
        completion = asker.provider.complete(request)
        if refused := asker.journal.open([(ask, request)]).refused:
            return refused
        return asker._close(ask, request, completion, tried)

    replaced(Asker, _attempt=attempt)


def _fence_off() -> None:
    """Let every runner go on, whatever its claim, and even after the turn has ended."""

    fence = " AND lease_epoch = :t_epoch AND status = 'running'"
    ours = " AND lease_epoch = :t_epoch AND (status = 'running' OR xmin = pg_current_xact_id()::xid)"
    files = {name: edited(name, fence, "") for name in ("open", "release", "publish")}
    apply({**files, "outcome": edited("outcome", ours, "")})


def _look_away() -> None:
    """Accept a turn without looking for the session's active turn. Only the index is left."""
    read = Database.read

    def read_(db: Database, tenant_id: str | None, statement: Statement, params: Params) -> list[Row]:
        rows = read(db, tenant_id, statement, params)
        return [row | {"active": None} for row in rows] if statement is LOAD_NEW_TURN else rows

    replaced(Database, read=read_)


def _outcome_fenced() -> None:
    """Record an outcome only if its runner still has the turn. A posted call keeps its reserve."""
    fenced = edited("outcome", "\nRETURNING", " AND own.turns = 1 RETURNING")
    apply({"outcome": fenced, "record": edited("record", "-- include settle", "")})


def _retries_on() -> None:
    """Let the client library retry by itself, which is its default."""
    complete = OpenAICompatibleProvider.complete

    def complete_(provider: OpenAICompatibleProvider, request: Request, on_text: OnText | None = None) -> Completion:
        first = complete(provider, request, on_text)
        return complete(provider, request, on_text) if first.status == "unknown" else first

    replaced(OpenAICompatibleProvider, complete=complete_)


def _verdicts_forgotten() -> None:
    """Let a resumed turn begin again."""

    def attempts(own: journal.TurnJournal, step: int) -> Sequence[Attempt]:
        return [call.attempt for call in own.calls if call.step == step and call.attempt and call.seconds]

    replaced(journal.TurnJournal, attempts=attempts)


def _accepting_held() -> None:
    """Let publish keep the amount that accepting held."""
    apply({"publish": edited("publish", "WHERE h.id = :t_id AND t.id = h.id", "WHERE false AND t.id = h.id")})


def _first_agent_twice() -> None:
    """Hold the first agent's reserve in addition to the hold of accepting."""
    apply({"open": edited("open", "WHERE id = :t_id AND period", "WHERE false AND period")})


def _suspense_released() -> None:
    """Let publish release the reserve of an unknown outcome."""
    kept = "-reserve_usd AS held, cost_usd AS spent FROM posted WHERE account <> 'suspense'"
    released = "-reserve_usd AS held, CASE account WHEN 'suspense' THEN 0 ELSE cost_usd END AS spent FROM posted"
    text = edited("publish", kept, released)
    hold = "FROM posted WHERE account = 'suspense'"
    assert hold in text
    apply({"publish": text.replace(hold, "FROM posted WHERE false")})


def _settled_held() -> None:
    """Let a settlement keep the reserve."""
    apply({"settle": edited("settle", "WHERE id IN (SELECT call_id FROM known)", "WHERE false")})


def _allowance_open() -> None:
    """Let publish move every failed attempt to the platform's share."""
    apply({"publish": edited("publish", "f.amount <= w.room", "f.amount IS NOT NULL")})


def _letters_drawn_anew() -> None:
    """Let each runner give the answers other letters."""
    assign = reviews.assign

    def assign_(_: UUID, *more: Any) -> dict[str, reviews.Paper]:
        return assign(uuid4(), *more)

    replaced(council, assign=assign_)


def _chair_not_held() -> None:
    """Hold nothing for a council's chair with its first answers."""
    apply({"open": edited("open", "WHERE id = :t_id AND EXISTS", "WHERE false AND EXISTS")})


SABOTAGES: Mapping[str, Sabotage] = MappingProxyType(
    {
        "journal": Sabotage("journal off", _journal_off, "kill-again", frozenset({"lost"})),
        "fence": Sabotage("fence off", _fence_off, "stopped", frozenset({"zombie asked", "double"})),
        "index": Sabotage(
            "partial index dropped, and the look before it",
            _look_away,
            "session",
            frozenset({"conflict"}),
            "DROP INDEX turns_one_active_per_session",
            """CREATE UNIQUE INDEX turns_one_active_per_session ON turns (session_id)
            WHERE status IN ('accepted', 'running')""",
        ),
        "outcome": Sabotage(
            "outcome rolled back with the fence", _outcome_fenced, "stopped", frozenset({"lost outcome"})
        ),
        "retries": Sabotage("SDK retries on", _retries_on, "outcomes", frozenset({"lost"})),
        "verdicts": Sabotage("verdicts not replayed", _verdicts_forgotten, "kill-again", frozenset({"asked again"})),
        "letters": Sabotage("letters of a council drawn anew", _letters_drawn_anew, "council", frozenset({"letters"})),
        "chair": Sabotage("nothing held for a council's chair", _chair_not_held, "council", _MONEY),
        "accepting": Sabotage("accepting's hold kept by publish", _accepting_held, "hold", _MONEY),
        "replaced": Sabotage("accepting's hold kept beside the first agent's", _first_agent_twice, "hold", _MONEY),
        "suspense": Sabotage("unknown outcomes released by publish", _suspense_released, "suspense", _MONEY),
        "settled": Sabotage("unknown outcomes held after settlement", _settled_held, "suspense", _MONEY),
        "stored": Sabotage(
            "replies told as completed before they are stored",
            sabotage_live.told_unstored,
            "live",
            frozenset({"shown"}),
        ),
        "ids": Sabotage("ids without completed replies", sabotage_live.ids_forgetful, "live", frozenset({"repeated"})),
        "awaited": Sabotage(
            "turns that wait for readers", sabotage_live.readers_awaited, "asleep", frozenset({"stuck"})
        ),
        "hoarded": Sabotage("text kept without a bound", sabotage_live.texts_hoarded, "asleep", frozenset({"kept"})),
        "resets": Sabotage(
            "text of failed attempts not taken back", sabotage_live.texts_kept, "streams", frozenset({"shown"})
        ),
        "trusted": Sabotage(
            "streaming kept after a stream without a count",
            sabotage_live.streams_trusted,
            "streams",
            frozenset({"streamed"}),
        ),
        "limit": Sabotage(
            "calls not cut to the time left", sabotage_live.limits_whole, "streams", frozenset({"stuck"})
        ),
        "uncounted": Sabotage(
            "streams without a count are free", sabotage_live.uncounted_free, "streams", frozenset({"amount"})
        ),
        "allowance": Sabotage("failed attempts beyond the allowance moved", _allowance_open, "suspense", _MONEY),
    }
)


def find(name: str) -> Sabotage:
    """Return the sabotage of this name, of the protocol or of graphs."""
    if name in SABOTAGES:
        return SABOTAGES[name]
    from tests.faults.rows_graph import CONTROLS

    return CONTROLS[name]
