-- Delete an agent. Rosters keep its key, and treat it as disabled.

-- part deleted
UPDATE public.agents SET deleted_at = clock_timestamp() WHERE key = :b_key AND deleted_at IS NULL RETURNING key;

-- part forgotten
-- Exports name a deleted agent by its last version. Other versions are kept only if a turn has pinned them.
DELETE FROM public.agent_versions v USING public.agents a
WHERE a.key = :b_key AND a.xmin = pg_current_xact_id()::xid
    AND v.tenant_id = a.tenant_id AND v.key = a.key AND v.version < a.version AND NOT v.pinned;
