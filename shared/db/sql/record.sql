-- Record one outcome alone: after a failed commit, for parallel calls except the last, and for a call that is already
-- posted.

-- part fence
SELECT true AS fenced FROM turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running' FOR SHARE;

-- include outcome

-- include settle
