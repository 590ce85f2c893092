-- part load
SELECT t.id, t.session_id, t.turn_index, t.status, t.mode, t.message, t.plan, t.created_at, t.response
FROM public.turns t JOIN public.sessions s ON s.id = t.session_id
WHERE t.id = :b_id AND t.deleted_at IS NULL AND
-- include visible
-- Only Pantheon itself sees the turn of a plain call.
AND (s.origin <> 'call' OR :a_is_service::boolean);
