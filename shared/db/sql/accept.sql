-- Accept a turn: take the session's next index, insert the turn, and write down its first call if there is one.
-- Nothing is written where the session moved on since it was loaded; the caller loads again.

-- part session
-- The index is taken only if it is still the one that was loaded. The row stays locked until the commit.
UPDATE sessions SET next_turn_index = next_turn_index + 1, updated_at = clock_timestamp()
WHERE id = :t_session_id AND deleted_at IS NULL AND next_turn_index = :t_turn_index
RETURNING true AS moved;

-- part turn
-- Without a lease the turn waits for the worker, which the sweeper wakes in a minute if the queue does not.
INSERT INTO turns (id, tenant_id, session_id, user_id, turn_index, status, idempotency_key, fingerprint, message, mode,
                   fan_out, requested_agent_keys, roster, plan, lease_epoch, lease_expires_at, dispatch_after,
                   api_key_id)
SELECT :t_id, :t_tenant_id, id, :t_user_id, :t_turn_index,
       CASE WHEN :t_lease_s::float8 IS NULL THEN 'accepted' ELSE 'running' END,
       :t_idempotency_key, :t_fingerprint, :t_message, :t_mode, :t_fan_out, :t_requested_agent_keys::text[],
       :t_roster::jsonb, :t_plan::jsonb,
       CASE WHEN :t_lease_s::float8 IS NULL THEN 0 ELSE 1 END,
       clock_timestamp() + make_interval(secs => :t_lease_s::float8),
       clock_timestamp() + make_interval(secs => coalesce(:t_lease_s::float8, 60)), :t_api_key_id
FROM sessions
WHERE id = :t_session_id AND xmin = pg_current_xact_id()::xid -- moved by this transaction
RETURNING created_at, clock_timestamp() AS now;

-- part money ? t_needs_money
-- If the tenant pays for no call in this step, no hold checks its budget. This part refuses a tenant without money
-- left.
SELECT refuse('PN002', 'the tenant has nothing left')
FROM turns t
LEFT JOIN budgets b ON b.payer = 'tenant:' || t.tenant_id
    AND b.period = date_trunc('month', timezone('UTC', now()))::date
LEFT JOIN budget_limits l ON l.payer = 'tenant:' || t.tenant_id
WHERE t.id = :t_id
    AND coalesce(b.spent_usd + b.held_usd, 0) >= least(l.limit_usd, coalesce(l.cap_usd, :t_default_cap_usd));

-- include intents

-- part refused ? i_calls
-- A turn is not accepted without its first call.
SELECT refuse('PN001', 'the budget does not cover the first call')
FROM turns t
WHERE t.id = :t_id AND NOT EXISTS (SELECT FROM llm_calls WHERE turn_id = t.id);
