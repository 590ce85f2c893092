-- part models
-- What chat programs can call as models: enabled agents and councils, by key.
SELECT a.key, v.name, a.created_at
FROM public.agents a JOIN public.agent_versions v USING (tenant_id, key, version)
WHERE a.deleted_at IS NULL AND v.enabled
UNION ALL
SELECT key, name, created_at FROM public.councils WHERE deleted_at IS NULL
ORDER BY key;
