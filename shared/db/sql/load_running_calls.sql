-- part calls
-- The calls of a turn that has not ended, each with its agent's name and the account that a post would use now.
SELECT c.step, c.attempt, c.purpose, c.agent_key, c.agent_version, c.model_alias, c.verdict, c.input_tokens,
       c.output_tokens, c.cache_read_tokens, c.cache_write_tokens, c.reasoning_tokens, c.cache_write_1h_tokens,
       c.cost_usd, c.output, c.stop_reason, c.error_code, c.finished_at, v.name, CASE
    WHEN c.verdict = 'reply' AND c.payer <> 'platform' THEN 'tenant'
    WHEN c.status = 'unknown' THEN 'suspense'
    ELSE 'platform'
END AS account
FROM public.llm_calls c
LEFT JOIN public.agent_versions v ON v.tenant_id = c.tenant_id AND v.key = c.agent_key AND v.version = c.agent_version
WHERE c.turn_id = :b_id AND c.posted_at IS NULL
ORDER BY c.step, c.attempt;
