-- part given_up
-- Only giving up ends a turn as failed after this number of claims.
SELECT id FROM turns
WHERE id = :t_id AND status = 'failed' AND deleted_at IS NULL AND expired_claims >= :t_fruitless_claims;
