-- Give the turn back to the queue, with the last outcome. `t_wait_s` is the wait that a provider asked for.

-- part fence
SELECT FROM public.turns WHERE id = :t_id FOR NO KEY UPDATE;

-- include outcome

-- part release
-- Without a new outcome since the claim, this hand-over counts as a fruitless claim, unless the provider asked to wait.
UPDATE public.turns
SET status = 'accepted',
    lease_expires_at = NULL,
    dispatch_after = clock_timestamp() + make_interval(secs => 60 + :t_wait_s::float8),
    expired_claims = expired_claims + (
        :t_wait_s::float8 = 0
        AND (SELECT count(finished_at) FROM public.llm_calls WHERE turn_id = :t_id) = outcomes_at_claim
    )::integer
WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
RETURNING true AS released;
