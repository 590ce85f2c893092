-- part load
-- Everything that a posted turn needs: the session, its agents, its past, its active turn and the turn that used the
-- key. Also the seconds for which the tenant's rate refuses a turn, and when its first active turn may end. A session that
-- the actor cannot see does not exist here. Accepting the turn counts rate and active turns again.
WITH found AS (
    SELECT id, title, mode, fan_out, agent_keys, chair_key, next_turn_index, model, imported,
           instructions, deleted_at
    FROM public.sessions s WHERE id = :b_session_id AND
-- include visible
    -- The turn of a plain call belongs to its own request only.
    AND (s.origin <> 'call' OR :b_is_chat::boolean)
    UNION ALL
    -- A chat program's session that accepting the turn makes.
    SELECT :b_session_id, '', mode, fan_out, agent_keys, chair_key, 1, model, NULL, NULL, NULL
    FROM jsonb_to_record(:b_made::jsonb) AS made (mode text, fan_out text, agent_keys text[], chair_key text, model text)
    WHERE :b_made::jsonb IS NOT NULL
), session AS (
    SELECT id, title, mode, fan_out, agent_keys, chair_key, next_turn_index, model, imported, instructions
    FROM found WHERE deleted_at IS NULL
)
SELECT
(SELECT row_to_json(session) FROM session) AS session,
(
    SELECT json_agg(roster) FROM (
        SELECT v.key, v.version, v.name, v.role_prompt, v.model_alias, v.max_output_tokens, v.temperature, v.enabled,
               NOT v.pinned AS unpinned
        FROM public.agents a JOIN public.agent_versions v USING (tenant_id, key, version)
        WHERE a.deleted_at IS NULL AND a.key IN (SELECT unnest(agent_keys) FROM session)
    ) roster
) AS agents,
-- include past
,
(
    SELECT row_to_json(active) FROM (
        SELECT id, extract(epoch FROM dispatch_after - clock_timestamp()) AS retry_after_s
        FROM public.turns WHERE session_id = :b_session_id AND status IN ('accepted', 'running')
    ) active
) AS active,
(
    SELECT row_to_json(used) FROM (
        -- The key may have been used in a session that the actor cannot see.
        SELECT id, status, fingerprint, here AND deleted_at IS NOT NULL AS deleted,
               CASE WHEN here THEN response END AS response
        FROM public.turns, LATERAL (SELECT session_id IN (SELECT id FROM found) AS here) place
        WHERE idempotency_key = :b_idempotency_key
    ) used
) AS used,
NOT EXISTS (SELECT FROM public.tenants WHERE tenant_id = :b_tenant_id) AS is_newcomer,
-- The rate allows another turn when the oldest of the newest N turns is a minute old. At most N turns are read.
CASE WHEN :b_turns_per_minute::integer > 0 THEN extract(epoch FROM
    public.nth_newest_turn_at(:b_tenant_id, now() - interval '1 minute', :b_turns_per_minute::integer)
    + interval '1 minute' - now()
) END AS rate_limited_s,
(
    SELECT coalesce(extract(epoch FROM min(dispatch_after) - clock_timestamp()), 0) FROM public.turns
    WHERE tenant_id = :b_tenant_id COLLATE "POSIX" AND completed_at IS NULL AND :b_active_turns::integer > 0
    HAVING count(*) >= nullif(:b_active_turns::integer, 0)
) AS too_many_active_s;
