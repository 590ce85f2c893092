"""Breaks a database in one way for each invariant."""

from collections.abc import Mapping
from typing import LiteralString

from tests.support.council_room import CouncilRoom, answer, unknown

# Statements that break the invariant of this name. Most break others too, because invariants share rows.
BREAKS: Mapping[str, LiteralString] = {
    "later turns see the one reply that concludes": "UPDATE replies SET is_heard = true",
    "only members of a council that answered review, once each": """
        UPDATE llm_calls SET agent_key = 'writer' WHERE purpose = 'review'""",
    "an ended turn has one reply row per planned step": "DELETE FROM replies WHERE position = 1",
    "a turn that has not ended has no reply row": """UPDATE turns SET status = 'accepted', dispatch_after = now()
        WHERE turn_index = 2""",
    "a call has exactly one post once its turn has ended, and none before": """
        DELETE FROM usage_ledger WHERE account = 'platform'""",
    "no call of an ended turn is still an intent": "UPDATE llm_calls SET status = 'intent' WHERE status = 'unknown'",
    "a step has at most one tenant post of a reply": """DROP INDEX usage_ledger_one_tenant_reply_per_step;
        UPDATE usage_ledger SET account = 'tenant', reason = 'reply' WHERE step = 0""",
    "a post's account and reason follow from its call": """
        UPDATE llm_calls SET verdict = 'failed' WHERE step = 1 AND verdict = 'reply'""",
    "the tenant pays for its agents' replies what the turn's replies cost": """
        UPDATE replies SET cost_usd = 1 WHERE position = 1""",
    "a posted call's ledger entries add up to its cost": "UPDATE llm_calls SET cost_usd = 1 WHERE step = 1",
    "only a call of unknown outcome is in suspense": """
        UPDATE llm_calls SET status = 'unbilled' WHERE status = 'unknown'""",
    "held is the reserves of calls that are not posted, and the other holds": "UPDATE budgets SET held_usd = 1",
    "a turn holds what accepting held until the agent is asked that it was held for": """
        INSERT INTO budget_holds
        SELECT id, tenant_id, 'accepted', 'tenant:' || tenant_id, '2026-01-01', 0 FROM turns""",
    "an unknown outcome holds its reserve where its payer is": "UPDATE budget_holds SET held_usd = 1",
    "spent is the sum of the payer's posts and adjustments": "DELETE FROM budgets WHERE payer <> 'tenant:tenant-1'",
    "a session has at most one active turn": """DROP INDEX turns_one_active_per_session;
        UPDATE turns SET status = 'accepted', dispatch_after = now()""",
    "a session's turns are numbered from 1 without a gap": "UPDATE turns SET turn_index = 7 WHERE turn_index = 2",
    "the stored response says what the tenant pays": """
        UPDATE turns SET response = (response::jsonb || '{"cost_usd": "0.1"}')::text""",
    "the text of a posted call has left the journal": "UPDATE llm_calls SET output = 'Roses.' WHERE step = 1",
    "of a deleted session no text is left once its turns have ended": "UPDATE sessions SET deleted_at = now()",
    "of a plain call no text is left once it has ended": "UPDATE turns SET mode = 'call' WHERE turn_index = 2",
    "what is rolled up is what the ledger says": """
        INSERT INTO usage_rolled_up VALUES (true, date_trunc('hour', now(), 'UTC') + interval '1 hour')""",
    "an active turn is dispatched within five minutes of its time": """UPDATE turns
        SET status = 'accepted', dispatch_after = now() - interval '6 minutes' WHERE turn_index = 2""",
    "a role has the settings that a migration gave it": """DO $$ BEGIN
        EXECUTE format('ALTER ROLE pantheon_app IN DATABASE %I SET search_path = odd', current_database()); END $$""",
    "there is no large object": "SELECT lo_create(0)",
}


def take_turns(room: CouncilRoom) -> None:
    """Two turns in which everything happens that a break needs: an empty answer, an unknown outcome, replies. A third
    one is a council's."""
    room.provider.enqueue(answer(""), answer("Roses."), unknown(), answer("Violets."))
    room.take("@writer @critic hello")
    room.take("@writer hello")
    room.provider.enqueue(*[answer("Lilies.")] * 3, *[answer('{"ranking": ["B", "A"]}')] * 3, answer("Roses."))
    room.take("hello", mode="council")
