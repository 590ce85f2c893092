"""The invariants of the stored data: name -> a query that returns the rows that break it.

Run them as `pantheon_ops` or as a superuser. Row-level security hides all rows from other roles, so every query would
then find nothing wrong.

`{since}` is the id of a turn. Older turns, and deletions before it, are left out. Ids are in time order, so keys find
the newest turns, and the ledger's time order finds their entries (`{posted}`). A payer's month is checked as a whole
from the month before on: the rolled-up sums, the ledger's rows beyond them, and the few entries of another month. An
index finds those. The rolled-up sums are checked against the ledger. So the checks' time depends on recent activity,
and not on the amount of data.
"""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import text

from shared.db.compiler import compiled
from shared.db.engine import Database, Row
from shared.db.operations.council_invariants import OF_COUNCIL
from shared.db.operations.database_invariants import OF_DATABASE
from shared.db.operations.text_invariants import OF_TEXT
from shared.db.operations.time_limit import read_within
from shared.db.schema.columns import TOKENS
from shared.db.usage.dimensions import DIMENSIONS

EVER = UUID(int=0)

SPENT = "spent is the sum of the payer's posts and adjustments"

_QUERIES: Mapping[str, str] = MappingProxyType(
    {
        **OF_COUNCIL,
        "an ended turn has one reply row per planned step": """
            SELECT t.id, t.plan -> 'selected_agent_keys' AS planned, count(r.turn_id) AS replies
            FROM public.turns t LEFT JOIN public.replies r ON r.turn_id = t.id
            WHERE t.status NOT IN ('accepted', 'running') AND t.id >= {since}
            GROUP BY t.id
            HAVING coalesce(jsonb_agg(r.agent_key ORDER BY r.position) FILTER (WHERE r.turn_id IS NOT NULL), '[]')
                   <> coalesce(t.plan -> 'selected_agent_keys', '[]')
                OR max(r.position) <> count(r.turn_id) - 1""",
        "a turn that has not ended has no reply row": """
            SELECT t.id, r.position
            FROM public.turns t JOIN public.replies r ON r.turn_id = t.id
            WHERE t.status IN ('accepted', 'running')""",
        "a call has exactly one post once its turn has ended, and none before": """
            SELECT c.call_id, t.status, count(l.id) AS posts
            FROM public.llm_calls c
            JOIN public.turns t ON t.id = c.turn_id
            LEFT JOIN public.usage_ledger l ON l.call_id = c.call_id AND l.kind = 'post' AND {posted}
            WHERE t.id >= {since} AND c.turn_id >= {since}
            GROUP BY c.call_id, t.id
            HAVING count(l.id) <> (t.status NOT IN ('accepted', 'running'))::int
                OR count(l.id) <> (c.posted_at IS NOT NULL)::int""",
        "no call of an ended turn is still an intent": """
            SELECT c.call_id
            FROM public.llm_calls c JOIN public.turns t ON t.id = c.turn_id
            WHERE c.status = 'intent' AND t.status NOT IN ('accepted', 'running')
                AND t.id >= {since} AND c.turn_id >= {since}""",
        "a step has at most one tenant post of a reply": """
            SELECT turn_id, step, count(*) AS posts
            FROM public.usage_entries l
            WHERE kind = 'post' AND account = 'tenant' AND reason IN ('reply', 'review')
                AND turn_id >= {since} AND {posted}
            GROUP BY turn_id, step
            HAVING count(*) > 1""",
        # A row of the release before has no reason, and follows that release's rules.
        "a post's account and reason follow from its call": """
            SELECT l.id, l.account, l.reason, c.payer, c.verdict
            FROM public.usage_ledger l JOIN public.llm_calls c ON c.call_id = l.call_id
            WHERE l.turn_id >= {since} AND c.turn_id >= {since} AND {posted} AND l.kind = 'post'
                AND CASE WHEN l.reason IS NULL THEN
                    -- A release before 0014: the platform pays for failed attempts, whoever held their reserve.
                    l.account NOT IN (
                        'suspense',
                        CASE WHEN c.verdict = 'reply' AND c.payer <> 'platform' THEN 'tenant' ELSE 'platform' END
                    )
                ELSE (l.account, l.reason) NOT IN (
                    ('suspense', 'unknown_outcome'),
                    (
                        CASE c.payer WHEN 'platform' THEN 'platform' ELSE 'tenant' END,
                        CASE
                            WHEN c.verdict IS DISTINCT FROM 'reply' THEN 'failed_attempt'
                            WHEN c.purpose = 'agent' THEN 'reply'
                            WHEN c.purpose = 'review' THEN 'review'
                            ELSE 'helper'
                        END
                    )
                ) END""",
        "the tenant pays for its agents' replies what the turn's replies cost": """
            SELECT t.id, r.cost, l.posted
            FROM public.turns t
            LEFT JOIN (
                SELECT turn_id, sum(cost_usd) AS cost FROM public.replies WHERE turn_id >= {since} GROUP BY turn_id
            ) r ON r.turn_id = t.id
            LEFT JOIN (
                SELECT turn_id, sum(amount_usd) AS posted
                FROM public.usage_entries l
                WHERE account = 'tenant' AND reason = 'reply' AND turn_id >= {since} AND {posted}
                GROUP BY turn_id
            ) l ON l.turn_id = t.id
            WHERE t.id >= {since} AND coalesce(r.cost, 0) <> coalesce(l.posted, 0)""",
        "a posted call's ledger entries add up to its cost": """
            SELECT c.call_id, c.cost_usd, sum(l.amount_usd) AS entries
            FROM public.llm_calls c JOIN public.usage_ledger l ON l.call_id = c.call_id
            WHERE c.turn_id >= {since} AND l.turn_id >= {since} AND {posted}
            GROUP BY c.call_id
            HAVING sum(l.amount_usd) <> c.cost_usd""",
        "only a call of unknown outcome is in suspense": """
            SELECT c.call_id, c.status, sum(l.amount_usd) AS suspended
            FROM public.llm_calls c JOIN public.usage_ledger l ON l.call_id = c.call_id AND l.account = 'suspense'
            WHERE c.turn_id >= {since} AND l.turn_id >= {since} AND {posted}
            GROUP BY c.call_id
            HAVING sum(l.amount_usd) <> CASE WHEN c.status = 'unknown' THEN c.reserve_usd ELSE 0 END""",
        # Starts from active turns, which an index finds. Another invariant checks that the calls of the others are
        # posted.
        "held is the reserves of calls that are not posted, and the other holds": """
            SELECT payer, period, b.held_usd, c.reserved
            FROM public.budgets b
            FULL JOIN (
                SELECT payer, period, sum(reserve_usd) AS reserved
                FROM (
                    SELECT CASE c.payer WHEN 'platform' THEN 'platform:' || c.tenant_id ELSE c.payer END AS payer,
                           c.period, c.reserve_usd
                    FROM public.turns t JOIN public.llm_calls c ON c.turn_id = t.id
                    WHERE t.status IN ('accepted', 'running') AND c.posted_at IS NULL
                    UNION ALL
                    SELECT payer, period, held_usd FROM public.budget_holds
                ) m
                GROUP BY 1, 2
            ) c USING (payer, period)
            WHERE coalesce(b.held_usd, 0) <> coalesce(c.reserved, 0)""",
        # A scalar subquery, because for EXISTS the planner would read and hash all calls. In mode `council`, the agent
        # is the chair.
        "a turn holds what accepting held until the agent is asked that it was held for": """
            SELECT h.id, t.status
            FROM public.budget_holds h LEFT JOIN public.turns t ON t.id = h.id
            WHERE h.reason = 'accepted' AND (t.status IN ('accepted', 'running') AND (
                SELECT true FROM public.llm_calls c
                WHERE c.turn_id = h.id AND c.purpose = 'agent' AND c.period = h.period
                    AND (t.mode <> 'council' OR c.step = jsonb_array_length(t.plan -> 'selected_agent_keys') - 1)
                LIMIT 1
            ) IS NULL) IS NOT TRUE""",
        "an unknown outcome holds its reserve where its payer is": """
            SELECT call_id, c.payer, h.payer AS held_by, c.reserve_usd, h.held_usd
            FROM (
                SELECT c.call_id, c.period, c.reserve_usd,
                       CASE c.payer WHEN 'platform' THEN 'platform:' || c.tenant_id ELSE c.payer END AS payer
                FROM public.usage_ledger l JOIN public.llm_calls c ON c.call_id = l.call_id
                WHERE l.kind = 'post' AND l.account = 'suspense' AND l.reason = 'unknown_outcome'
                    AND c.status = 'unknown' AND l.turn_id >= {since} AND {posted}
            ) c
            FULL JOIN (
                SELECT id AS call_id, payer, period, held_usd FROM public.budget_holds
                WHERE reason = 'suspense' AND EXISTS (
                    SELECT FROM public.llm_calls k WHERE k.call_id = budget_holds.id AND k.turn_id >= {since}
                )
            ) h USING (call_id)
            WHERE (c.payer, c.period, c.reserve_usd) IS DISTINCT FROM (h.payer, h.period, h.held_usd)""",
        SPENT: """
            SELECT payer, period, b.spent_usd, l.posted
            FROM (SELECT payer, period, spent_usd FROM public.budgets WHERE period >= {month}) b
            FULL JOIN (
                SELECT payer, period, sum(amount_usd) AS posted
                FROM (
                    SELECT account || ':' || tenant_id AS payer, account, {posted_in} AS period, amount_usd
                    FROM (
                        SELECT account, tenant_id, start AS created_at, amount_usd FROM public.usage_days
                        WHERE start < (SELECT date_trunc('day', max(until), 'UTC') FROM public.usage_rolled_up)
                            AND start >= timezone('UTC', {month}::timestamp)
                        UNION ALL
                        SELECT account, tenant_id, start, amount_usd FROM public.usage_hours
                        WHERE start >= (SELECT date_trunc('day', max(until), 'UTC') FROM public.usage_rolled_up)
                            AND start < (SELECT max(until) FROM public.usage_rolled_up)
                        UNION ALL
                        SELECT account, tenant_id, created_at, amount_usd FROM public.usage_ledger
                        WHERE created_at >= (SELECT coalesce(max(until), '-infinity') FROM public.usage_rolled_up)
                    ) by_time
                    UNION ALL
                    SELECT account || ':' || tenant_id, account, period, amount_usd FROM public.usage_ledger
                    WHERE period <> {posted_in}
                    UNION ALL
                    SELECT account || ':' || tenant_id, account, {posted_in}, -amount_usd FROM public.usage_ledger
                    WHERE period <> {posted_in}
                ) m
                WHERE account <> 'suspense' AND period >= {month}
                GROUP BY 1, 2
            ) l USING (payer, period)
            WHERE coalesce(b.spent_usd, 0) <> coalesce(l.posted, 0)""",
        "a session has at most one active turn": """
            SELECT session_id, count(*) AS active
            FROM public.turns WHERE status IN ('accepted', 'running')
            GROUP BY session_id
            HAVING count(*) > 1""",
        "a session's turns are numbered from 1 without a gap": """
            SELECT s.id, s.next_turn_index
            FROM public.sessions s LEFT JOIN public.turns t ON t.session_id = s.id
            WHERE {since} = '00000000-0000-0000-0000-000000000000'
                OR s.id IN (SELECT session_id FROM public.turns WHERE id >= {since})
            GROUP BY s.id
            HAVING coalesce(array_agg(t.turn_index ORDER BY t.turn_index) FILTER (WHERE t.id IS NOT NULL), '{}')
                   <> ARRAY(SELECT generate_series(1, s.next_turn_index - 1))""",
        "the stored response says what the tenant pays": """
            SELECT t.id, t.answered_usd, sum(l.amount_usd) AS posted
            FROM public.turns t
            LEFT JOIN public.usage_ledger l
                ON l.turn_id = t.id AND l.kind = 'post' AND l.account = 'tenant' AND {posted}
            WHERE t.answered_usd IS NOT NULL AND t.id >= {since}
            GROUP BY t.id
            HAVING t.answered_usd::numeric <> coalesce(sum(l.amount_usd), 0)""",
        **OF_TEXT,
        # Runs each minute, over the last hours and days only: late posts come from transactions of at most minutes.
        "what is rolled up is what the ledger says": """
            SELECT span, start, {dimensions}, sum(amount_usd) AS too_much
            FROM (
                SELECT 'hour' AS span, start, {dimensions}, {sums}
                FROM public.usage_hours, public.usage_rolled_up
                WHERE start < until AND start >= {hours}
                UNION ALL
                SELECT 'hour', date_trunc('hour', created_at, 'UTC'), {dimensions}, -(kind = 'post')::int,
                       -input_tokens, -output_tokens, -cache_read_tokens, -cache_write_tokens, -reasoning_tokens,
                       -amount_usd
                FROM public.usage_entries, public.usage_rolled_up
                WHERE created_at < until AND created_at >= {hours}
                UNION ALL
                SELECT 'day', start, {dimensions}, {sums}
                FROM public.usage_days, public.usage_rolled_up
                WHERE start < date_trunc('day', until, 'UTC')
                    AND start >= {days}
                UNION ALL
                SELECT 'day', date_trunc('day', start, 'UTC'), {dimensions}, -calls, -input_tokens, -output_tokens,
                       -cache_read_tokens, -cache_write_tokens, -reasoning_tokens, -amount_usd
                FROM public.usage_hours, public.usage_rolled_up
                WHERE start < date_trunc('day', until, 'UTC')
                    AND start >= {days}
            ) compared
            GROUP BY span, start, {dimensions}
            HAVING (sum(calls), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
                    sum(reasoning_tokens), sum(amount_usd)) <> (0, 0, 0, 0, 0, 0, 0)""",
        "an active turn is dispatched within five minutes of its time": """
            SELECT id, status, dispatch_after
            FROM public.turns
            WHERE status IN ('accepted', 'running') AND dispatch_after < clock_timestamp() - interval '5 minutes'""",
        **OF_DATABASE,
    }
)


_SINCE = "coalesce(uuid_extract_timestamp({since}), '-infinity')"
_TERMS: Mapping[str, str] = {
    # One hour more, because processes make ids and the database sets entries' times.
    "{posted}": f"l.created_at >= {_SINCE} - interval '1 hour'",
    "{posted_in}": "date_trunc('month', timezone('UTC', created_at))::date",
    "{month}": f"(date_trunc('month', timezone('UTC', {_SINCE})) - interval '1 month')::date",
    "{hours}": "date_trunc('hour', least(until - interval '6 hours', {all}), 'UTC')",
    "{dimensions}": ", ".join(DIMENSIONS),
    "{sums}": ", ".join(("calls", *TOKENS, "amount_usd")),
    "{days}": "date_trunc('day', least(until - interval '24 hours', {all}), 'UTC')",
}


def _of(query: str, since: str, everything: str) -> str:
    for term, meaning in {**_TERMS, "{all}": everything, "{since}": since}.items():
        query = query.replace(term, meaning)
    return query


# The queries over all data, and over turns from `:b_since` on and recent rolled-up sums.
INVARIANTS: Mapping[str, str] = MappingProxyType(
    {name: _of(query, f"'{EVER}'::uuid", "'-infinity'") for name, query in _QUERIES.items()}
)
LATELY: Mapping[str, str] = MappingProxyType(
    {name: _of(query, ":b_since", "'infinity'") for name, query in _QUERIES.items()}
)


def first_id(moment: float) -> UUID:
    """Return the lowest UUIDv7 of this moment, in seconds since 1970."""
    return UUID(int=int(moment * 1000) << 80 | 0x7 << 76 | 0x2 << 62)


def first_rows(query: str, limit: str) -> str:
    """Return a query of an invariant's first rows. It is materialized, because usually there is no row, and a plan for
    a fast first row may take hours to find none."""
    return f"WITH broken AS MATERIALIZED ({query}) SELECT * FROM broken LIMIT {limit}"  # noqa: S608 all of it is ours


_FIRST_ROWS = {name: compiled(text(first_rows(query, ":b_limit"))) for name, query in LATELY.items()}


def load_broken(db: Database, name: str, limit: int, *, since: UUID = EVER, seconds: float) -> list[Row]:
    """Return up to `limit` rows that break an invariant, in turns with ids from `since` on. `db` has the role for
    operations. Raises DatabaseUnavailable after `seconds`, and psycopg.Error if the schema differs."""
    return read_within(db, seconds, (_FIRST_ROWS[name], {"b_since": since, "b_limit": limit}))[0]
