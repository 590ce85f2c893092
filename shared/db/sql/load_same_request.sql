-- part active
-- The active turn of a chat program's request, of which there is one at most.
SELECT id, extract(epoch FROM dispatch_after - clock_timestamp())::float8 AS retry_after_s
FROM public.turns WHERE request_hash = :b_request_hash AND status IN ('accepted', 'running');
