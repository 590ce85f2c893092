-- part load
SELECT id, session_id, turn_index, status, mode, message, plan, created_at, response
FROM public.turns WHERE id = :b_id AND deleted_at IS NULL;
