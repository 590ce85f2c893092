-- Write the next calls before they are sent, with the outcome of the call before them.

-- part fence
-- Only the runner with the newest claim passes. Locks the turn and renews its lease.
UPDATE public.turns
SET lease_expires_at = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => :t_lease_s)),
    dispatch_after = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => :t_lease_s)),
    -- A graph's plan grows by the asked agent.
    plan = CASE WHEN :t_plan::jsonb ->> 'source' = 'graph' THEN :t_plan::jsonb ELSE coalesce(plan, :t_plan::jsonb) END
WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
RETURNING cancel_requested_at IS NULL AND deleted_at IS NULL AS wanted;

-- include outcome

-- include intents

-- part replaced ? i_replaces
-- The call's reserve replaces the turn's own hold. A hold of an earlier month stays until publish.
WITH replaced AS (
    DELETE FROM public.budget_holds
    WHERE id = :t_id AND period = date_trunc('month', timezone('UTC', now()))::date
        AND EXISTS (
            SELECT FROM public.llm_calls
            WHERE turn_id = :t_id AND xmin = pg_current_xact_id()::xid AND status = 'intent'
        )
    RETURNING payer, period, held_usd
)
UPDATE public.budgets b SET held_usd = b.held_usd - r.held_usd
FROM replaced r WHERE b.payer = r.payer AND b.period = r.period;

-- part kept ? i_kept_usd
-- Hold the reserve of the call that will conclude the turn. A hold of an earlier month stays instead.
WITH kept AS (
    INSERT INTO public.budget_holds (id, tenant_id, reason, payer, period, held_usd)
    SELECT id, tenant_id, 'accepted', 'tenant:' || tenant_id, date_trunc('month', timezone('UTC', now()))::date,
           :i_kept_usd
    FROM public.turns
    WHERE id = :t_id AND EXISTS (
        SELECT FROM public.llm_calls
        WHERE turn_id = :t_id AND xmin = pg_current_xact_id()::xid AND status = 'intent'
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING payer, period, held_usd
)
UPDATE public.budgets b SET held_usd = b.held_usd + k.held_usd
FROM kept k WHERE b.payer = k.payer AND b.period = k.period;
