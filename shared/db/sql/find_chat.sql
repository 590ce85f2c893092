-- Find the turn of the same request, and the session of a chat program's conversation. Nothing is written.

-- part keyed ? b_idempotency_key
-- The turn that used the key. A deleted turn has no text.
SELECT id AS keyed_id, request_hash AS keyed_hash, status AS keyed_status, mode AS keyed_mode,
       deleted_at IS NOT NULL AS keyed_deleted,
       extract(epoch FROM dispatch_after - clock_timestamp())::float8 AS keyed_retry_after_s
FROM public.turns WHERE idempotency_key = :b_idempotency_key;

-- part retried
-- The user's newest turn of the same request, if it runs or ended in the last 10 minutes. The hash includes the user.
-- If the conversation has continued since, the client has its answer, and this is a new message with the same text.
SELECT id AS retried_id, request_hash AS retried_hash, status AS retried_status, mode AS retried_mode,
       false AS retried_deleted,
       extract(epoch FROM dispatch_after - clock_timestamp())::float8 AS retried_retry_after_s
FROM (
    SELECT * FROM public.turns
    WHERE request_hash = :b_request_hash AND created_at > clock_timestamp() - interval '1 hour' AND deleted_at IS NULL
    ORDER BY created_at DESC
    LIMIT 1
) t
WHERE completed_at IS NULL OR completed_at > clock_timestamp() - interval '10 minutes' AND NOT EXISTS (
    SELECT FROM public.turns later WHERE later.session_id = t.session_id AND later.turn_index > t.turn_index
) AND NOT EXISTS (
    SELECT FROM public.conversations c
    WHERE c.user_id = :b_user_id AND c.name = :b_name AND c.session_id <> t.session_id
);

-- part named ? b_name
-- The session that the conversation's name means, and its past.
SELECT c.session_id AS named_id, s.model AS named_model, (
    SELECT t.past_after FROM public.turns t
    WHERE t.session_id = s.id AND t.past_after IS NOT NULL
    ORDER BY t.turn_index DESC
    LIMIT 1
) AS named_past
FROM public.conversations c
LEFT JOIN public.sessions s ON s.id = c.session_id AND s.deleted_at IS NULL
WHERE c.user_id = :b_user_id AND c.name = :b_name;

-- part past ? b_past
-- A session whose shown turns are exactly the past. Prefer one that began here, then the newest.
SELECT s.id AS past_id
FROM public.turns t JOIN public.sessions s ON s.id = t.session_id
WHERE t.past_after = :b_past AND s.deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM public.turns later
    WHERE later.session_id = t.session_id AND later.turn_index > t.turn_index AND later.past_after IS NOT NULL
)
ORDER BY s.imported IS NOT NULL, s.id DESC
LIMIT 1;
