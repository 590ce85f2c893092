-- part calls
-- The calls of a turn that has ended, each with its agent's name. The turn's response has their texts.
SELECT c.step, c.attempt, c.purpose, c.agent_key, c.model_alias, v.name
FROM public.llm_calls c
LEFT JOIN public.agent_versions v ON v.tenant_id = c.tenant_id AND v.key = c.agent_key AND v.version = c.agent_version
WHERE c.turn_id = :b_id AND c.posted_at IS NOT NULL
ORDER BY c.step, c.attempt;
