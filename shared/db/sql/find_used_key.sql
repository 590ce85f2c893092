-- part used
-- The turn of this session that used the key.
SELECT fingerprint FROM public.turns WHERE idempotency_key = :b_idempotency_key AND session_id = :b_session_id;
