-- part outcome ? o_call_id
-- This part runs even if the fence failed, because a runner that lost its turn must still record its cost. Only the
-- verdict needs the fence. If this transaction publishes the turn, `output` stays NULL, because `replies` stores the
-- text. A posted call is not changed: its late outcome needs an adjustment (record.sql). `finished_at` and `retry_at`
-- use one clock reading, so their difference is the wait that the provider asked for.
UPDATE public.llm_calls
SET status = :o_status,
    verdict = CASE own.turns WHEN 1 THEN :o_verdict END,
    input_tokens = :o_input_tokens,
    output_tokens = :o_output_tokens,
    cache_read_tokens = :o_cache_read_tokens,
    cache_write_tokens = :o_cache_write_tokens,
    reasoning_tokens = :o_reasoning_tokens,
    cache_write_1h_tokens = :o_cache_write_1h_tokens,
    cost_usd = :o_cost_usd,
    output = CASE own.published WHEN 0 THEN :o_output END,
    stop_reason = :o_stop_reason,
    error_code = :o_error_code,
    provider_request_id = :o_provider_request_id,
    provider_message = :o_provider_message,
    thinking = :o_thinking,
    finished_at = own.now,
    retry_at = own.now + make_interval(secs => :o_retry_after_s::float8)
FROM (
    SELECT count(*) AS turns, count(*) FILTER (WHERE status <> 'running') AS published, clock_timestamp() AS now
    FROM public.turns
    WHERE id = :t_id AND lease_epoch = :t_epoch AND (status = 'running' OR xmin = pg_current_xact_id()::xid)
) own
WHERE call_id = :o_call_id AND status IN ('intent', 'unknown') AND posted_at IS NULL
RETURNING true AS recorded;
