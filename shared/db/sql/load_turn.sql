-- part load
SELECT t.id, t.session_id, t.turn_index, t.status, t.mode, t.message, t.plan, t.created_at, t.response
FROM turns t JOIN sessions s ON s.id = t.session_id
WHERE t.id = :b_id AND t.deleted_at IS NULL AND
-- include visible
;
