-- Make a council or its next version, and return which. A refusal and an identical body write nothing.

-- include lock_tenant

-- part written
-- The council must have one of the versions in `b_if_match`; '*' is any. `b_only_new` makes no next version.
WITH current AS (
    SELECT version,
           (name, mode, agent_keys, fan_out, chair_key) IS NOT DISTINCT FROM
           (:b_name::text, :b_mode::text, :b_agent_keys::text[], :b_fan_out::text, :b_chair_key::text) AS is_identical
    FROM public.councils
    WHERE key = :b_key AND deleted_at IS NULL
),
unknown AS (
    SELECT array_agg(member.key ORDER BY member.number) AS keys
    FROM unnest(:b_agent_keys::text[]) WITH ORDINALITY AS member (key, number)
    WHERE NOT EXISTS (SELECT FROM public.agents a WHERE a.key = member.key AND a.deleted_at IS NULL)
),
verdict AS (
    SELECT CASE
        WHEN (SELECT keys FROM unknown) IS NOT NULL THEN 'unknown'
        WHEN :b_if_match::text[] IS NOT NULL AND NOT EXISTS (
            SELECT FROM current WHERE ARRAY[version::text, '*'] && :b_if_match::text[]
        ) THEN 'mismatch'
        -- Agents and councils share one namespace.
        WHEN EXISTS (SELECT FROM public.agents WHERE key = :b_key AND deleted_at IS NULL) THEN 'taken'
        WHEN :b_only_new::boolean AND EXISTS (SELECT FROM current) THEN 'exists'
        WHEN EXISTS (SELECT FROM current WHERE is_identical) THEN 'identical'
        WHEN EXISTS (SELECT FROM current) THEN 'changed'
        WHEN (SELECT count(*) FROM public.councils WHERE deleted_at IS NULL) >= :b_max_living::integer THEN 'too_many'
        WHEN NOT EXISTS (SELECT FROM public.councils WHERE key = :b_key)
            AND (SELECT count(*) FROM public.councils) >= :b_max_keys::integer THEN 'too_many_keys'
        ELSE 'made'
    END AS verdict
),
written AS (
    -- A deleted council's key can be used again. Its version numbers continue, so that an ETag never has two contents.
    INSERT INTO public.councils AS c (tenant_id, key, name, mode, agent_keys, fan_out, chair_key, version)
    SELECT :b_tenant_id, :b_key, :b_name, :b_mode, :b_agent_keys::text[], :b_fan_out, :b_chair_key, 1
    FROM verdict WHERE verdict IN ('changed', 'made')
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET name = excluded.name, mode = excluded.mode, agent_keys = excluded.agent_keys, fan_out = excluded.fan_out,
        chair_key = excluded.chair_key, version = c.version + 1, deleted_at = NULL,
        created_at = CASE WHEN c.deleted_at IS NULL THEN c.created_at ELSE clock_timestamp() END
    RETURNING version
)
SELECT verdict, coalesce((SELECT version FROM written), (SELECT version FROM current)) AS version,
       (SELECT keys FROM unknown) AS unknown_keys
FROM verdict;
