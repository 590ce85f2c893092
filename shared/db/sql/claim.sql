-- Claim a turn without a runner: it waits for a worker, or its lease expired.

-- part locked
-- Lock the turn before the next parts read its calls. Otherwise they miss an outcome that commits while this step
-- waits.
SELECT FROM public.turns WHERE id = :t_id FOR UPDATE;

-- part claimed
-- This lease covers loading the turn and writing its next intent, which sets a new lease.
UPDATE public.turns
SET status = 'running',
    lease_epoch = lease_epoch + 1,
    lease_expires_at = clock_timestamp() + interval '30 seconds',
    dispatch_after = clock_timestamp() + interval '30 seconds',
    expired_claims = expired_claims + (status = 'running' AND outcomes_at_claim = calls.finished)::integer,
    outcomes_at_claim = calls.finished
FROM (SELECT count(finished_at) AS finished FROM public.llm_calls WHERE turn_id = :t_id) calls
WHERE id = :t_id AND (status = 'accepted' OR status = 'running' AND lease_expires_at < clock_timestamp())
    -- Null: turns of any mode.
    AND (mode LIKE 'graph:%') IS NOT DISTINCT FROM coalesce(:t_of_graphs::boolean, mode LIKE 'graph:%')
RETURNING id, tenant_id, session_id, turn_index, mode, fan_out, message, requested_agent_keys, roster, plan, lease_epoch,
          expired_claims, created_at, chair_key,
          options, past_before, clock_timestamp() AS now;

-- part lost
-- The outcomes of the earlier runner's open calls are unknown. They cost their reserve until more is known.
UPDATE public.llm_calls c SET status = 'unknown', cost_usd = c.reserve_usd
FROM public.turns t
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid -- claimed by this transaction
    AND c.turn_id = t.id AND c.status = 'intent';
