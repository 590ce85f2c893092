-- part active
-- The active turn of a chat program's request, of which there is one at most.
SELECT id FROM public.turns
WHERE request_hash = :b_request_hash AND status IN ('accepted', 'running');
