-- Accept a turn: take the session's next index, count the tenant's turns, insert the turn, and hold money for its first
-- agent. If the session changed since it was loaded, nothing is written, and the caller loads again. A chat program's
-- new session is also made here, so that a refused turn leaves none.

-- part named ? m_name
-- Give the conversation's name to the new session, unless the name's session changed since it was found.
INSERT INTO public.conversations AS c (tenant_id, user_id, name, session_id)
VALUES (:t_tenant_id, :t_user_id, :m_name, :t_session_id)
ON CONFLICT (tenant_id, user_id, name) DO UPDATE SET session_id = excluded.session_id
WHERE c.session_id = :m_replaced_id;

-- part made ? m_origin
INSERT INTO public.sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, chair_key, visibility, origin,
                             model)
SELECT :t_session_id, :t_tenant_id, :t_user_id, :m_title, :m_mode, :m_fan_out, :m_agent_keys::text[], :m_chair_key,
       'private', :m_origin, :m_model
WHERE :m_name::text IS NULL OR EXISTS (SELECT FROM public.conversations WHERE session_id = :t_session_id)
RETURNING true AS made;

-- part session
-- Take the index only if it is still the loaded one and the actor still sees the session. The row stays locked until
-- the commit. A tenant's first turn inserts the tenant.
WITH tenant AS (
    INSERT INTO public.tenants (tenant_id) VALUES (:t_tenant_id) ON CONFLICT DO NOTHING
)
UPDATE public.sessions s SET next_turn_index = next_turn_index + 1, updated_at = clock_timestamp()
WHERE id = :t_session_id AND deleted_at IS NULL AND next_turn_index = :t_turn_index AND
-- include visible
RETURNING true AS moved;

-- part tenant
-- Lock the tenant's row until the commit, so that the next part counts all of its turns.
SELECT FROM public.tenants WHERE tenant_id = :t_tenant_id FOR NO KEY UPDATE;

-- part bounds
SELECT CASE
    WHEN :t_turns_per_minute::integer > 0 AND public.nth_newest_turn_at(
        :t_tenant_id, clock_timestamp() - interval '1 minute', :t_turns_per_minute::integer
    ) IS NOT NULL THEN public.refuse('PN003', 'the tenant has posted its turns of this minute')
    WHEN :t_active_turns::integer > 0 AND (
        SELECT count(*) FROM public.turns
        WHERE tenant_id = :t_tenant_id COLLATE "POSIX" AND completed_at IS NULL
    ) >= :t_active_turns::integer THEN public.refuse('PN004', 'the tenant has as many active turns as it may have')
END
FROM public.sessions WHERE id = :t_session_id AND xmin = pg_current_xact_id()::xid; -- moved by this transaction

-- part pinned ? t_unpinned
-- A version that a turn has pinned is never deleted. Usually all versions were pinned when they were loaded, and
-- this part and the next are left out. Versions are locked in the order of their keys, after the tenant's row.
-- part and the next are left out. It locks versions in the order of their keys, after the tenant's row.
UPDATE public.agent_versions v SET pinned = true
FROM (
    SELECT tenant_id, key, version
    FROM public.agent_versions u JOIN jsonb_to_recordset(:t_roster::jsonb) AS roster (key text, version integer)
        USING (key, version)
    WHERE NOT u.pinned
    ORDER BY key FOR NO KEY UPDATE OF u
) unpinned
WHERE v.tenant_id = unpinned.tenant_id AND v.key = unpinned.key AND v.version = unpinned.version;

-- part present ? t_unpinned
-- A change of an agent may have deleted a version since it was loaded. Then the caller loads again.
SELECT public.refuse('PN005', 'a version of the roster was deleted')
WHERE EXISTS (
    SELECT FROM jsonb_to_recordset(:t_roster::jsonb) AS roster (key text, version integer)
    WHERE NOT EXISTS (
        SELECT FROM public.agent_versions v WHERE v.key = roster.key AND v.version = roster.version AND v.pinned
    )
);

-- part turn
-- Without a lease, the turn waits for the worker. The sweeper sends it again after a minute.
INSERT INTO public.turns (id, tenant_id, session_id, user_id, turn_index, status, idempotency_key, fingerprint, message,
                          mode, fan_out, requested_agent_keys, roster, plan, lease_epoch, lease_expires_at,
                          dispatch_after, api_key_id, chair_key, options, past_before, request_hash)
SELECT :t_id, :t_tenant_id, id, :t_user_id, :t_turn_index,
       CASE WHEN :t_lease_s::float8 IS NULL THEN 'accepted' ELSE 'running' END,
       :t_idempotency_key, :t_fingerprint, :t_message, :t_mode, :t_fan_out, :t_requested_agent_keys::text[],
       :t_roster::jsonb, :t_plan::jsonb,
       CASE WHEN :t_lease_s::float8 IS NULL THEN 0 ELSE 1 END,
       clock_timestamp() + make_interval(secs => :t_lease_s::float8),
       clock_timestamp() + make_interval(secs => coalesce(:t_lease_s::float8, 60)), :t_api_key_id, :t_chair_key,
       :t_options::jsonb, :t_past, :t_request_hash
FROM public.sessions
WHERE id = :t_session_id AND xmin = pg_current_xact_id()::xid
RETURNING created_at, clock_timestamp() AS now;

-- include intents

-- part refused_call ? t_needs_call
-- Refuse the turn if the first call of its first agent was refused.
SELECT public.refuse('PN001', 'the budget does not cover the first call')
FROM public.turns t
WHERE t.id = :t_id AND NOT EXISTS (SELECT FROM public.llm_calls WHERE turn_id = t.id);

-- part first_agent ? t_hold_usd
-- This step asks no agent. Hold the highest reserve of the roster until one is asked.
WITH due AS (
    SELECT t.tenant_id, date_trunc('month', timezone('UTC', now()))::date AS period,
           least(l.limit_usd, coalesce(l.cap_usd, :p_cap_usd)) AS most
    FROM public.turns t LEFT JOIN public.budget_limits l ON l.payer = 'tenant:' || t.tenant_id
    WHERE t.id = :t_id
), held AS (
    INSERT INTO public.budgets AS b (payer, period, held_usd)
    SELECT 'tenant:' || tenant_id, period, :t_hold_usd FROM due WHERE :t_hold_usd <= most
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd
    WHERE b.spent_usd + b.held_usd + excluded.held_usd <= (SELECT most FROM due)
    RETURNING payer, period
)
INSERT INTO public.budget_holds (id, tenant_id, reason, payer, period, held_usd)
SELECT :t_id, :t_tenant_id, 'accepted', payer, period, :t_hold_usd FROM held;

-- part refused_agent ? t_hold_usd
SELECT public.refuse('PN002', 'the budget does not cover the first agent')
FROM public.turns t
WHERE t.id = :t_id AND NOT EXISTS (SELECT FROM public.budget_holds WHERE id = t.id);

-- part told ? t_tells
-- Store the chat program's newest system messages, and the past of its new session. This part is the last, because they
-- may be long.
UPDATE public.sessions SET instructions = :t_instructions, imported = coalesce(:t_imported::jsonb, imported)
WHERE id = :t_session_id AND xmin = pg_current_xact_id()::xid; -- moved by this transaction
