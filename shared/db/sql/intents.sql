-- part intents ? i_calls
-- Hold the reserve of the calls and insert them, both or neither. An agent's calls are held in the tenant's month. A
-- helper's call is held in the platform's share for the tenant, or, if that is refused, in the tenant's month. The rows
-- stay locked until the commit: the share's before the tenant's. A hold of the tenant leaves room for `i_beside_usd`.
-- With `i_replaces` it may use the room of the turn's own hold, which `replaced` releases.
WITH due AS (
    SELECT t.id, t.tenant_id, t.session_id, date_trunc('month', timezone('UTC', now()))::date AS period
    FROM public.turns t
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid -- accepted or fenced by this transaction
        AND t.cancel_requested_at IS NULL AND t.deleted_at IS NULL
), share AS (
    INSERT INTO public.budgets AS b (payer, period, held_usd)
    SELECT 'platform:' || due.tenant_id, due.period, :i_reserve_usd
    FROM due, LATERAL (
-- include share_limit
    ) allowance
    WHERE :i_helper AND :i_reserve_usd <= allowance.most
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd
    WHERE b.spent_usd + b.held_usd + excluded.held_usd <= (
        SELECT allowance.most FROM due, LATERAL (
-- include share_limit
        ) allowance
    )
    RETURNING 'platform' AS payer, period
), room AS (
    SELECT due.tenant_id, due.period, least(l.limit_usd, coalesce(l.cap_usd, :p_cap_usd)) - :i_beside_usd
        + coalesce(h.held_usd, 0) AS most
    FROM due
    LEFT JOIN public.budget_limits l ON l.payer = 'tenant:' || due.tenant_id
    LEFT JOIN public.budget_holds h ON h.id = due.id AND h.period = due.period AND :i_replaces::boolean
    WHERE NOT EXISTS (SELECT FROM share)
), own AS (
    INSERT INTO public.budgets AS b (payer, period, held_usd)
    SELECT 'tenant:' || tenant_id, period, :i_reserve_usd FROM room WHERE :i_reserve_usd <= most
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd
    WHERE b.spent_usd + b.held_usd + excluded.held_usd <= (SELECT most FROM room)
    RETURNING payer, period
), held AS (
    SELECT payer, period FROM share UNION ALL SELECT payer, period FROM own
)
INSERT INTO public.llm_calls (call_id, tenant_id, session_id, turn_id, status, payer, period, step, attempt, purpose,
                              agent_key, agent_version, model_alias, provider, model_id, request_hash, reserve_usd,
                              rates)
SELECT c.call_id, due.tenant_id, due.session_id, due.id, 'intent', held.payer, held.period, c.step, c.attempt,
       c.purpose, c.agent_key, c.agent_version, c.model_alias, c.provider, c.model_id, c.request_hash, c.reserve_usd,
       c.rates
FROM due, held, jsonb_to_recordset(:i_calls::jsonb) AS c (
    call_id uuid, step integer, attempt integer, purpose text, agent_key text, agent_version integer, model_alias text,
    provider text, model_id text, request_hash text, reserve_usd numeric, rates jsonb
)
RETURNING payer AS held_by;
