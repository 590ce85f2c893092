-- Make an agent or its next version, and return which. A refusal and an identical body write nothing.

-- include lock_tenant

-- part written
-- The agent must have one of the versions in `b_if_match`; '*' is any. `b_only_new` makes no next version.
WITH current AS (
    SELECT version,
           (name, role_prompt, model_alias, max_output_tokens, temperature, enabled) IS NOT DISTINCT FROM
           (:b_name::text, :b_role_prompt::text, :b_model_alias::text, :b_max_output_tokens::integer,
            :b_temperature::float8, :b_enabled::boolean) AS is_identical
    FROM public.agents a JOIN public.agent_versions v USING (tenant_id, key, version)
    WHERE key = :b_key AND a.deleted_at IS NULL
),
verdict AS (
    SELECT CASE
        WHEN :b_if_match::text[] IS NOT NULL AND NOT EXISTS (
            SELECT FROM current WHERE ARRAY[version::text, '*'] && :b_if_match::text[]
        ) THEN 'mismatch'
        -- Agents and councils share one namespace.
        WHEN EXISTS (SELECT FROM public.councils WHERE key = :b_key AND deleted_at IS NULL) THEN 'taken'
        WHEN :b_only_new::boolean AND EXISTS (SELECT FROM current) THEN 'exists'
        WHEN EXISTS (SELECT FROM current WHERE is_identical) THEN 'identical'
        WHEN EXISTS (SELECT FROM current) THEN 'changed'
        WHEN (SELECT count(*) FROM public.agents WHERE deleted_at IS NULL) >= :b_max_living::integer THEN 'too_many'
        WHEN NOT EXISTS (SELECT FROM public.agents WHERE key = :b_key)
            AND (SELECT count(*) FROM public.agents) >= :b_max_keys::integer THEN 'too_many_keys'
        ELSE 'made'
    END AS verdict
),
agent AS (
    -- A deleted agent's key can be used again. Its version numbers continue, because old turns have pinned the others.
    INSERT INTO public.agents AS a (tenant_id, key, version)
    SELECT :b_tenant_id, :b_key, 1 FROM verdict WHERE verdict IN ('changed', 'made')
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET version = a.version + 1, deleted_at = NULL,
        created_at = CASE WHEN a.deleted_at IS NULL THEN a.created_at ELSE clock_timestamp() END
    RETURNING tenant_id, key, version
),
written AS (
    INSERT INTO public.agent_versions (tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens,
                                temperature, enabled, pinned)
    SELECT tenant_id, key, version, :b_name, :b_role_prompt, :b_model_alias, :b_max_output_tokens::integer,
           :b_temperature::float8, :b_enabled::boolean, false
    FROM agent
    RETURNING version
)
SELECT verdict, coalesce((SELECT version FROM written), (SELECT version FROM current)) AS version FROM verdict;

-- part forgotten
-- Keep the newest versions, and those that a turn has pinned.
DELETE FROM public.agent_versions v USING public.agents a
WHERE a.key = :b_key AND a.xmin = pg_current_xact_id()::xid
    AND v.tenant_id = a.tenant_id AND v.key = a.key AND v.version <= a.version - :b_kept::integer AND NOT v.pinned;
