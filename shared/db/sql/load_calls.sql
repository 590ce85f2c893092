-- part calls
-- The calls of a turn, as the journal has them.
SELECT call_id, step, attempt, purpose, model_alias, payer, reserve_usd, rates, request_hash, status, verdict, input_tokens,
       output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cache_write_1h_tokens, cost_usd, output,
       stop_reason, error_code, finished_at, extract(epoch FROM retry_at - finished_at)::float8 AS retry_after_s,
       extract(epoch FROM clock_timestamp() - finished_at)::float8 AS age_s
FROM public.llm_calls WHERE turn_id = :b_id
ORDER BY step, attempt;
