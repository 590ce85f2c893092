-- part settle ? o_call_id
-- Only this statement moves a posted call out of `unknown`. It also inserts the adjustment, so a second run changes
-- nothing. The platform pays what the call cost, in the month of its hold.
WITH settled AS (
    UPDATE llm_calls
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
    RETURNING *
), known AS (
    -- A late outcome that is unknown as well is kept, and moves no money.
    SELECT * FROM settled WHERE status <> 'unknown'
), adjusted AS (
    INSERT INTO usage_ledger (kind, account, amount_usd, tenant_id, session_id, turn_id, call_id, step, attempt, period,
                              purpose, agent_key, model_alias, rates, input_tokens, output_tokens, cache_read_tokens,
                              cache_write_tokens, reasoning_tokens, cache_write_1h_tokens)
    SELECT 'adjustment', 'suspense', -reserve_usd, tenant_id, session_id, turn_id, call_id, step, attempt, period,
           purpose, agent_key, model_alias, rates, 0, 0, 0, 0, 0, 0
    FROM known
    UNION ALL
    SELECT 'adjustment', 'platform', cost_usd, tenant_id, session_id, turn_id, call_id, step, attempt, period,
           purpose, agent_key, model_alias, rates, input_tokens, output_tokens, cache_read_tokens,
           cache_write_tokens, reasoning_tokens, cache_write_1h_tokens
    FROM known
), spent AS (
    INSERT INTO budgets AS b (payer, period, spent_usd)
    SELECT 'platform:' || tenant_id, period, cost_usd FROM known WHERE cost_usd > 0
    ON CONFLICT (payer, period) DO UPDATE SET spent_usd = b.spent_usd + excluded.spent_usd
)
SELECT true AS settled FROM known;
