-- part given_up
-- A failed turn with this many fruitless claims was given up. No other step ends such a turn as failed.
SELECT id FROM public.turns
WHERE id = :t_id AND status = 'failed' AND deleted_at IS NULL AND expired_claims >= :t_fruitless_claims;
