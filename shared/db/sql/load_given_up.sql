-- part given_up
-- Only the runner that gives a turn up ends it as failed after so many claims.
SELECT id FROM turns
WHERE id = :t_id AND status = 'failed' AND deleted_at IS NULL AND expired_claims >= :t_fruitless_claims;
