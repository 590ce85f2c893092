-- part settle ? o_call_id
-- Only this part moves a posted call out of `unknown`, and the parts below adjust the ledger for it. So a second run
-- changes nothing. A late outcome that is also unknown is stored, and moves no money.
UPDATE public.llm_calls
SET status = :o_status,
    input_tokens = :o_input_tokens,
    output_tokens = :o_output_tokens,
    cache_read_tokens = :o_cache_read_tokens,
    cache_write_tokens = :o_cache_write_tokens,
    reasoning_tokens = :o_reasoning_tokens,
    cache_write_1h_tokens = :o_cache_write_1h_tokens,
    cost_usd = :o_cost_usd,
    stop_reason = coalesce(:o_stop_reason, stop_reason),
    error_code = coalesce(:o_error_code, error_code),
    provider_request_id = coalesce(:o_provider_request_id, provider_request_id),
    finished_at = coalesce(finished_at, clock_timestamp())
WHERE call_id = :o_call_id AND status = 'unknown' AND posted_at IS NOT NULL
RETURNING status <> 'unknown' AS settled;

-- part settled_share ? o_call_id
-- Lock the platform's share of the call's month if the tenant held the reserve and the cost may move to the share.
INSERT INTO public.budgets AS b (payer, period)
SELECT 'platform:' || c.tenant_id, c.period FROM public.llm_calls c JOIN public.budget_holds h ON h.id = c.call_id
WHERE c.call_id = :o_call_id AND c.posted_at IS NOT NULL AND c.xmin = pg_current_xact_id()::xid
    AND c.status <> 'unknown' AND c.cost_usd > 0 AND h.payer = 'tenant:' || c.tenant_id
ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd;

-- part adjusted ? o_call_id
-- The cost moves to the platform's share if the share bore the reserve or the cost fits into it, otherwise to the
-- tenant. The reserve is released where it was held. The release before 0014 held none after publish.
WITH due AS (
    SELECT c.call_id, c.tenant_id, c.session_id, c.turn_id, c.step, c.attempt, c.period, c.purpose, c.agent_key,
           c.model_alias, c.provider, c.rates, c.reserve_usd, c.cost_usd, c.input_tokens, c.output_tokens,
           c.cache_read_tokens, c.cache_write_tokens, c.reasoning_tokens, c.cache_write_1h_tokens, t.user_id,
           t.api_key_id, h.payer AS held_by, h.held_usd
    FROM public.llm_calls c
    JOIN public.turns t ON t.id = c.turn_id
    LEFT JOIN public.budget_holds h ON h.id = c.call_id
    WHERE c.call_id = :o_call_id AND c.posted_at IS NOT NULL AND c.xmin = pg_current_xact_id()::xid
        AND c.status <> 'unknown'
), known AS (
    SELECT due.*, CASE
        WHEN due.held_by IS DISTINCT FROM 'tenant:' || due.tenant_id OR due.cost_usd = 0
            OR b.spent_usd + b.held_usd + due.cost_usd <= allowance.most THEN 'platform'
        ELSE 'tenant'
    END AS account
    FROM due
    LEFT JOIN public.budgets b ON b.payer = 'platform:' || due.tenant_id AND b.period = due.period, LATERAL (
-- include share_limit
    ) allowance
), adjusted AS (
    INSERT INTO public.usage_ledger (kind, reason, account, amount_usd, tenant_id, session_id, turn_id, user_id,
                                     api_key_id, call_id, step, attempt, period, purpose, agent_key, model_alias,
                                     provider, rates, input_tokens, output_tokens, cache_read_tokens,
                                     cache_write_tokens, reasoning_tokens, cache_write_1h_tokens)
    SELECT 'adjustment', 'unknown_outcome', 'suspense', -reserve_usd, tenant_id, session_id, turn_id, user_id, api_key_id,
           call_id, step, attempt, period, purpose, agent_key, model_alias, provider, rates, 0,
           0, 0, 0, 0,
           0
    FROM known
    UNION ALL
    SELECT 'adjustment', 'unknown_outcome', account, cost_usd, tenant_id, session_id, turn_id, user_id, api_key_id,
           call_id, step, attempt, period, purpose, agent_key, model_alias, provider, rates, input_tokens,
           output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
           cache_write_1h_tokens
    FROM known
), freed AS (
    DELETE FROM public.budget_holds WHERE id IN (SELECT call_id FROM known) RETURNING payer, period, held_usd
), moves AS (
    SELECT payer, period, -held_usd AS held, 0 AS spent FROM freed
    UNION ALL
    SELECT account || ':' || tenant_id, period, 0, cost_usd FROM known
)
-- include add_moves
