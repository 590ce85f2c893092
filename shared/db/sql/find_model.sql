-- part found
-- The models of chat programs are enabled agents and councils, by key.
SELECT 'agent' AS kind, a.key, v.name, NULL AS mode, NULL AS fan_out, NULL::text[] AS agent_keys, NULL AS chair_key
FROM public.agents a JOIN public.agent_versions v USING (tenant_id, key, version)
WHERE a.key = :b_key AND a.deleted_at IS NULL AND v.enabled
UNION ALL
SELECT 'council', key, name, mode, fan_out, agent_keys, chair_key
FROM public.councils WHERE key = :b_key AND deleted_at IS NULL;
