-- Record one outcome alone, where the commit that it should have shared failed or was refused.

-- part fence
SELECT true AS fenced FROM turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running' FOR SHARE;

-- include outcome

-- include settle
