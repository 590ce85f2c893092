-- part active
-- The active turn of a chat program's request. There is at most one.
SELECT id FROM public.turns
WHERE request_hash = :b_request_hash AND status IN ('accepted', 'running');
