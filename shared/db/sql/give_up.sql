-- part forfeit
-- Take the verdicts from the calls of a turn that cannot be finished. Its answers will not be shown, so they count as
-- failed attempts.
-- No text, rates or error are read: one of them may be the reason why the turn cannot be finished.
UPDATE public.llm_calls c
SET verdict = CASE c.verdict WHEN 'reply' THEN 'failed' ELSE c.verdict END,
    error_code = CASE c.verdict WHEN 'reply' THEN 'turn_abandoned' ELSE c.error_code END
FROM (
    SELECT id FROM public.turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running' FOR NO KEY UPDATE
) t
WHERE c.turn_id = t.id
RETURNING c.call_id, c.step, c.attempt, c.purpose, c.model_alias, c.payer, c.reserve_usd, c.status, c.cost_usd,
          c.finished_at, c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens, c.reasoning_tokens,
          c.cache_write_1h_tokens;
