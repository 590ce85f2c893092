"""Running a turn: accept, ask, publish. No transaction and no lock is held while a model thinks.

`take_turn` runs a turn that a client has just posted; `resume_turn` runs one that nobody runs any more. Both end in
the same place, and a turn that outlasts this process's time is given back to the queue before its next call.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from uuid6 import uuid7

from shared.catalog import catalog
from shared.db.api.new_tenants import add_roster
from shared.db.engine import Database
from shared.db.turns import StoredTurn, load_turn
from shared.domain.actor import Actor
from shared.domain.money import ZERO
from shared.domain.outcome import Bill, TurnOutcome
from shared.domain.turn import Purpose, Turn
from shared.domain.turn_events import Listener
from shared.errors import DatabaseUnavailable, JournalUnavailable, NotFound, SessionDeleted, UnknownGraph
from shared.graph_names import graph_names, graph_of, is_graph
from shared.llm.port import Completion, Message, Provider
from shared.llm.tokens import token_estimates
from shared.orchestration.attempts import Asker, OutOfTime
from shared.orchestration.council import Council
from shared.orchestration.growing_council import GrowingCouncil
from shared.orchestration.modes import MODES
from shared.orchestration.next_alias import LONGEST_PAUSE_S
from shared.settings import settings
from shared.summary.summarise import summarise
from shared.turns.acceptance import Stale
from shared.turns.claim import claim, load_given_up
from shared.turns.draft import Draft, Header, Stored, TurnRequest, load_draft
from shared.turns.journal import Stopped, TurnJournal
from shared.turns.live_events import LiveEvents
from shared.turns.policies import routing_policy, summary_policy
from shared.turns.publish import publish

# What failed by an exception of our own code, as the log says it, and the exception.
Fault = tuple[str, Exception]
MODE_FAILED = "mode failed"
# A mode function that runs a graph.
Graph = Callable[[GrowingCouncil], None]
# Between loading and accepting, another request of the tenant may be faster. Each one makes its own progress.
_MOST_LOADS = 100


@dataclass(frozen=True, slots=True)
class Runner:
    """The resources of a process for a turn: database, provider, seconds left, and the longest wait that a provider may
    ask for, in seconds. A process with `graphs`, by name, runs their turns and no others."""

    db: Database
    provider: Provider
    seconds_left: Callable[[], float]
    longest_pause_s: float = LONGEST_PAUSE_S
    graphs: Mapping[str, Graph] | None = None


def take_turn(runner: Runner, request: TurnRequest, listener: Listener | None = None) -> TurnOutcome:
    """Run a posted turn to its end, or as far as this process's time goes. Raises the errors that API.md names.

    `listener` hears the turn's events. The last one is `turn.ended` or `turn.handed_over`, unless this raises.
    """
    live = LiveEvents(listener) if listener is not None else None
    outcome = _take(runner, request, live)
    if live is not None:
        live.finish(outcome)
    return outcome


def _take(runner: Runner, request: TurnRequest, live: LiveEvents | None) -> TurnOutcome:
    started = time.monotonic()
    turn_id = uuid7()
    for _ in range(_MOST_LOADS):
        draft = _load(runner.db, request, turn_id)
        if isinstance(draft, Stored):
            return _replay(runner, request.actor, draft)
        journal = TurnJournal(runner.db, request.tenant_id, turn_id, draft.columns)
        if live is not None:
            live.follow(draft.header, journal)
        council = Council(draft.conversation, _asker(runner, journal, draft.header, live), routing=routing_policy())
        journal.first_calls = council.first_calls
        # Where somebody is faster, the session tells what that means: an active turn, our own key, or the next index.
        with suppress(Stale):
            # Only the function for graphs runs them.
            if request.later or is_graph(draft.header.mode):
                return _hand_over(runner, draft.header, journal, started)
            return _run(runner, draft.header, journal, council, started)
    raise JournalUnavailable("Other requests were faster each time. Post the turn again.")


def _load(db: Database, request: TurnRequest, turn_id: UUID) -> Draft | Stored:
    try:
        draft = load_draft(db, request, turn_id)
        if isinstance(draft, Draft) and draft.is_newcomer:
            # Nobody is new any more once a turn is accepted.
            add_roster(db, request.tenant_id)
    except DatabaseUnavailable as error:
        # Where nothing can be read, nothing could be written down either.
        raise JournalUnavailable from error
    return draft


def resume_turn(runner: Runner, tenant_id: str, turn_id: UUID) -> TurnOutcome | None:
    """Claim a turn that nobody runs, and run it on from its journal. None where somebody does, or it has ended; where
    it was given up, an outcome that says so, every time."""
    started = time.monotonic()
    turn = claim(runner.db, tenant_id, turn_id, of_graphs=_of_graphs(runner))
    if turn is None:
        abandoned = load_given_up(runner.db, tenant_id, turn_id)
        return TurnOutcome(turn_id, "failed", "", abandoned=True) if abandoned else None
    kind = GrowingCouncil if is_graph(turn.header.mode) else Council
    council = kind(turn.conversation, _asker(runner, turn.journal, turn.header), turn.plan, routing_policy())
    # Nobody can get the answer to a plain call any more, so nobody is asked for it.
    end = _give_up if turn.given_up or turn.header.is_forgotten else _run
    return end(runner, turn.header, turn.journal, council, started)


def _of_graphs(runner: Runner) -> bool | None:
    """Which turns this process runs. Without a graph in the deployment, the worker ends turns that are left of one."""
    if runner.graphs is not None:
        return True
    return False if graph_names() else None


def _mode(runner: Runner, header: Header, council: Council) -> Callable[[], None]:
    """The mode of the turn for its council."""
    if isinstance(council, GrowingCouncil):
        return partial((runner.graphs or {}).get(graph_of(header.mode), _unknown_graph), council)
    return partial(MODES[header.mode], council)


def _unknown_graph(_: GrowingCouncil) -> None:
    raise UnknownGraph("This process does not have the turn's graph.")


def _run(runner: Runner, header: Header, journal: TurnJournal, council: Council, started: float) -> TurnOutcome:
    mode, faults = _mode(runner, header, council), list[Fault]()
    try:
        try:
            faults = _hold(header, journal, council, mode)
        except Stopped as stop:
            if not stop.publish:
                raise
        failure = council.ended.failure or ("mode_error" if MODE_FAILED in dict(faults) else None)
        turn, body = publish(runner.db, header, journal, council, failure=failure)
    except OutOfTime as late:
        if header.is_forgotten:
            return _give_up(runner, header, journal, council, started)
        return _hand_over(runner, header, journal, started, late.wait_s)
    except Stopped:
        return _outcome_now(runner, header, journal, started)
    except Exception:
        # Record the pending outcome even if our own code failed.
        journal.flush()
        raise
    return replace(_published(header, turn, body, journal, started), faults=faults)


def _hold(header: Header, journal: TurnJournal, council: Council, mode: Callable[[], None]) -> list[Fault]:
    """Run the mode, and write the summary that is due. Returns what failed of them by exceptions of their own. Raises
    what interrupted an ask."""
    error = _run_own(council, mode)
    if journal.accepted is None:
        # No call was opened, so the turn is not stored yet. Agents of another catalog are skipped without a call.
        journal.accept_without_call(run_here=True)
        if error is None and not council.replies:
            error = AssertionError("The mode asked no agent.")
    if error is not None:
        return [(MODE_FAILED, error)]
    is_last = header.is_forgotten or council.ended.failure is not None
    error = None if is_last else _run_own(council, partial(_summarise, header, council))
    return [] if error is None else [("summary failed", error)]


def _run_own(council: Council, part: Callable[[], None]) -> Exception | None:
    """Run a part of the turn. Returns an exception of its own code, and raises what interrupted an ask."""
    try:
        part()
    except Exception as error:
        if error is council.interruption:
            raise
        return error
    return None


def _give_up(runner: Runner, header: Header, journal: TurnJournal, council: Council, started: float) -> TurnOutcome:
    """Publish the turn as failed, with what was answered. The mode is not run, and nobody is asked."""
    if journal.accepted is None:
        journal.accept_without_call(run_here=True)
    try:
        code = "no_reply" if header.is_forgotten else "turn_abandoned"
        turn, body = publish(runner.db, header, journal, council, failure=code)
    except Stopped:
        return _outcome_now(runner, header, journal, started)
    abandoned = turn.status == "failed" and not header.is_forgotten
    return _published(header, turn, body, journal, started, abandoned=abandoned)


def _asker(runner: Runner, journal: TurnJournal, header: Header, live: LiveEvents | None = None) -> Asker:
    return Asker(
        header.turn_id,
        catalog(),
        runner.provider,
        journal,
        runner.seconds_left,
        token_estimates(),
        header.session_id,
        runner.longest_pause_s,
        live,
        header.tenant_id,
    )


def _summarise(header: Header, council: Council) -> None:
    """Write the summary that is due, once somebody has answered."""
    policy, alias = summary_policy(), settings().summary_alias

    def ask(
        purpose: Purpose, build: Callable[[int], tuple[Message, ...]], schema: Mapping[str, object] | None = None
    ) -> tuple[int, Completion | str]:
        return council.ask_helper(purpose, alias, policy.max_output_tokens, build, schema)

    if said := council.heard():
        summarised = summarise(council.conversation, header.turn_index, said, policy, ask)
        if summarised is not None:
            council.summary = summarised.summary
            council.fallbacks += summarised.fallbacks


def _hand_over(
    runner: Runner, header: Header, journal: TurnJournal, started: float, wait_s: float = 0.0
) -> TurnOutcome:
    """Give the turn to the queue; where not even its first call was begun, it is accepted for the queue."""
    released = True
    if journal.accepted is None:
        journal.accept_without_call(run_here=False)
    else:
        released = journal.release(wait_s)
    outcome = _outcome_now(runner, header, journal, started, handed_over=released)
    return replace(outcome, wait_s=wait_s, is_graph=is_graph(header.mode))


def _published(
    header: Header, turn: Turn, body: str, journal: TurnJournal, started: float, *, abandoned: bool = False
) -> TurnOutcome:
    total_usd = sum((charge.amount_usd for charge in journal.charges()), ZERO)
    return TurnOutcome(
        turn.id,
        turn.status,
        body,
        journal.figures(),
        turn.fallbacks,
        time.monotonic() - started,
        published=True,
        abandoned=abandoned,
        bill=Bill(header.tenant_id, turn.session_id, total_usd, turn.cost_usd),
        turn=turn,
    )


def _outcome_now(
    runner: Runner, header: Header, journal: TurnJournal, started: float, *, handed_over: bool = False
) -> TurnOutcome:
    """The answer of a runner that did not publish: the turn as it stands."""
    stored = _load_stored(runner, Actor.service(header.tenant_id), header.turn_id)
    seconds = time.monotonic() - started
    return TurnOutcome(stored.id, stored.status, stored.body, journal.figures(), (), seconds, handed_over=handed_over)


def _replay(runner: Runner, actor: Actor, found: Stored) -> TurnOutcome:
    """Answer from what was loaded with the key; a turn that has not ended is read from its journal."""
    if found.response is not None:
        return TurnOutcome(found.turn_id, found.status, found.response, replayed=True)
    stored = _load_stored(runner, actor, found.turn_id)
    return TurnOutcome(stored.id, stored.status, stored.body, replayed=stored.ended)


def _load_stored(runner: Runner, actor: Actor, turn_id: UUID) -> StoredTurn:
    """A turn that was there a moment ago. Raises SessionDeleted."""
    try:
        return load_turn(runner.db, actor, turn_id)
    except NotFound as error:
        raise SessionDeleted from error
