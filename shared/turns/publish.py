"""The end of a turn: its response is built once, stored, and shown only when everything else was stored with it.

The response is built for the marks (cancel, delete) and the outcomes that were known; where the statement's lock finds
others, nothing is published, and it is built again for those.
"""

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import psycopg
from uuid6 import uuid7

from shared.db.engine import Database, Params
from shared.db.protocol import PUBLISH
from shared.domain.chat import Line, extended, shown
from shared.domain.json_text import json_text
from shared.domain.money import Usage, format_usd
from shared.domain.problem import Problem, problem
from shared.domain.summary import Summary, by_list
from shared.domain.turn import Reply, Turn, TurnStatus, chairs_answer, charged, closed
from shared.errors import DatabaseUnavailable, JournalUnavailable, PublishFailed, SessionDeleted
from shared.orchestration.council import Council
from shared.turns.audit import audit_detail
from shared.turns.draft import Header
from shared.turns.journal import Stopped, TurnJournal, limits


def publish(
    db: Database, header: Header, journal: TurnJournal, council: Council, *, failure: str | None = None
) -> tuple[Turn, str]:
    """Publish the turn as it stands, and return it with its stored response. `failure` is the code of why it failed.

    Raises Stopped when another runner has it, SessionDeleted when it was published without text, and PublishFailed or
    JournalUnavailable when nothing could be published; an outcome in hand is still to be recorded then.
    """
    cancelled = deleted = False
    council.conclude(failure or "cancelled")
    while True:
        turn = build_turn(header, journal, council, cancelled=cancelled, failure=failure)
        params = {
            **journal.fence(),
            **journal.outcome(),
            **_params(turn, journal, council.summary, deleted=deleted or header.is_forgotten),
            **_chat_params(header, turn),
            "t_state": council.ended.state if turn.status == "completed" and not deleted else None,
            **limits(),
            "t_saw_cancel": cancelled,
            "t_saw_delete": deleted,
            "t_saw_lost": journal.lost,
        }
        row = _run(db, header.tenant_id, journal, params)
        if "published" in row:
            if deleted:
                raise SessionDeleted
            if council.ended.keep is not None and turn.status == "completed":
                council.ended.keep()
            if not journal.undecided:
                return turn, params["t_response"] or turn.as_json()
            tenant_usd, platform_usd = Decimal(row["tenant_usd"]), Decimal(row["platform_usd"])
            # The stored head, because a turn that is built again from replies that were cut may cut them once more.
            body = closed(params["t_response_head"] or turn.head(), tenant_usd, platform_usd)
            return replace(turn, cost_usd=tenant_usd, platform_cost_usd=platform_usd), body
        if "cancelled" not in row:
            raise Stopped(publish=False)
        cancelled, deleted = row["cancelled"], row["deleted"]
        if row["lost"] != journal.lost and not journal.load_late_outcomes():
            # The stored lost calls still differ from this journal, and reloading found no new outcome. Stop, so that
            # the loop ends.
            raise PublishFailed


def _chat_params(header: Header, turn: Turn) -> dict[str, Any]:
    """What a chat program's next request finds the turn by: the conversation with its answer, if there is one."""
    is_shown = header.past is not None and turn.status == "completed"
    past = extended(header.past or b"", [Line("assistant", shown(turn))]) if is_shown else None
    return {"t_past_after": past, "t_is_forgotten": header.is_forgotten, "t_hides": header.is_forgotten or None}


def build_turn(
    header: Header,
    journal: TurnJournal,
    council: Council,
    *,
    cancelled: bool,
    failure: str | None,
) -> Turn:
    """The turn as its client will see it."""
    assert journal.accepted is not None
    charges = journal.charges()
    answered = council.ended.answer is not None or any(reply.status == "completed" for reply in council.replies)
    status, error = _status(answered, failure, cancelled=cancelled)
    conclusion = council.conclusion
    if conclusion is None:
        # A mode that failed or did not run says nothing of this. An earlier runner may have the chair's answer.
        conclusion = chairs_answer(header.mode, council.current_plan, council.replies)
    return Turn(
        id=header.turn_id,
        session_id=header.session_id,
        turn_index=header.turn_index,
        status=status,
        mode=header.mode,
        message=header.message,
        created_at=journal.accepted.created_at,
        completed_at=journal.accepted.now(),
        error=error,
        plan=council.current_plan,
        replies=council.replies,
        usage=sum((charge.usage for charge in charges), Usage()),
        cost_usd=charged(charges, "tenant"),
        platform_cost_usd=charged(charges, "platform"),
        fallbacks=council.fallbacks,
        summary_triggered=council.summary is not None,
        steps_finished=journal.steps_finished,
        reviews=council.reviews,
        standings=council.standings,
        conclusion=conclusion,
        answer=council.ended.answer,
    )


def _status(answered: bool, failure: str | None, *, cancelled: bool) -> tuple[TurnStatus, Problem | None]:
    if cancelled:
        return "cancelled", None
    if failure is not None:
        return "failed", problem(failure)
    if answered:
        return "completed", None
    return "failed", problem("no_reply")


def _run(db: Database, tenant_id: str, journal: TurnJournal, params: Params) -> dict[str, Any]:
    try:
        row = db.run(tenant_id, PUBLISH, params)[0]
    except DatabaseUnavailable as error:
        raise JournalUnavailable("The turn could not be published now; it will be.") from error
    except psycopg.Error as error:
        raise PublishFailed from error
    if "recorded" in row:
        journal.written()
    else:
        journal.flush()
    return row


def _params(turn: Turn, journal: TurnJournal, summary: Summary | None, *, deleted: bool) -> dict[str, Any]:
    replies = [
        _reply_row(reply, deleted=deleted) | {"is_heard": turn.conclusion in (None, reply.position)}
        for reply in turn.replies
    ]
    return {
        "t_status": turn.status,
        "t_plan": turn.plan and json_text(turn.plan.as_dict()),
        "t_undecided": journal.undecided or None,
        "t_response": None if deleted or journal.undecided else turn.as_json(),
        "t_response_head": turn.head() if journal.undecided and not deleted else None,
        "t_completed_at": turn.completed_at,
        "t_replies": json_text(replies),
        "t_summary": summary and json_text(_summary_row(turn, summary)),
        "t_audit": json_text(audit_detail(turn, journal.calls)),
    }


def _summary_row(turn: Turn, summary: Summary) -> dict[str, Any]:
    helpers = [fallback.as_dict() for fallback in turn.fallbacks if fallback.component.startswith("summary")]
    return {
        "id": str(uuid7()),
        "through_turn_index": summary.through_turn_index,
        "text": summary.text,
        # The release before reads the four lists and `archived`.
        **by_list(summary.items),
        "archived": by_list(summary.archive),
        "items": [asdict(item) for item in summary.items],
        "archive": [asdict(item) for item in summary.archive],
        "last_numbers": summary.last_numbers,
        "fallbacks": helpers,
    }


def _reply_row(reply: Reply, *, deleted: bool) -> dict[str, Any]:
    return {
        "position": reply.position,
        "agent_key": reply.agent_key,
        "agent_version": reply.agent_version,
        "name": reply.name,
        "status": reply.status,
        "text": None if deleted else reply.text,
        "stop_reason": reply.stop_reason,
        "error_code": reply.error and reply.error.code,
        "model_alias": reply.model_alias,
        **reply.usage.as_dict(),
        "cost_usd": format_usd(reply.cost_usd),
    }
