-- Write down the next calls before they are sent, with the outcome of the call before them.

-- part fence
-- Only the runner with the newest claim passes. Locks the turn and renews its lease.
UPDATE turns
SET lease_expires_at = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => :t_lease_s)),
    dispatch_after = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => :t_lease_s)),
    plan = coalesce(plan, :t_plan::jsonb)
WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
RETURNING cancel_requested_at IS NULL AND deleted_at IS NULL AS wanted;

-- include outcome

-- include intents
