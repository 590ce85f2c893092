-- Record one outcome alone: after a failed commit, for parallel calls except the last, and for a call that is already
-- posted.

-- part fence
-- Locks have one order: the turn comes before its calls, also for a runner that lost it.
SELECT FROM public.turns WHERE id = :t_id FOR SHARE;

-- include outcome

-- include settle
