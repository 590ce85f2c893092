-- part models
-- The models of chat programs: enabled agents and councils, by key.
SELECT 'agent' AS kind, a.key, v.name, NULL AS mode, a.created_at
FROM public.agents a JOIN public.agent_versions v USING (tenant_id, key, version)
WHERE a.deleted_at IS NULL AND v.enabled
UNION ALL
SELECT 'council', key, name, mode, created_at FROM public.councils WHERE deleted_at IS NULL
ORDER BY key;
