-- Delete the text of a session. The session is marked first; the ledger keeps its rows. Triggers delete the names of
-- its conversations and the hashes of its turns (migration 0020).

-- part session ? a_user_id
-- A user deletes the session.
UPDATE public.sessions s SET deleted_at = clock_timestamp(), title = '', imported = NULL, instructions = NULL
WHERE id = :b_id AND deleted_at IS NULL AND origin <> 'call' AND
-- include owned
RETURNING true AS scrubbed;

-- part expired ? b_days
-- Operations delete a session that was not touched for `b_days` days and has no active turn.
UPDATE public.sessions s SET deleted_at = clock_timestamp(), title = '', imported = NULL, instructions = NULL
WHERE id = :b_id AND deleted_at IS NULL
    AND created_at < now() - make_interval(hours => :b_days::integer * 24)
    AND updated_at < now() - make_interval(hours => :b_days::integer * 24)
    AND NOT EXISTS (SELECT FROM public.turns WHERE session_id = s.id AND status IN ('accepted', 'running'))
RETURNING true AS scrubbed;

-- part active
-- The publish of an active turn deletes its text. A turn that ends while this part waits for it is left to the
-- next part.
UPDATE public.turns t SET deleted_at = clock_timestamp()
FROM public.sessions s
WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND t.session_id = s.id
    AND t.status IN ('accepted', 'running');

-- part turns
-- Operations may write `message` and `response`, but not read them.
UPDATE public.turns t
SET deleted_at = clock_timestamp(), message = '', response = NULL, options = NULL,
    plan = jsonb_set(t.plan, '{unknown_tags}', '[]')
FROM public.sessions s
WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND t.session_id = s.id
    AND t.status NOT IN ('accepted', 'running');

-- part calls
-- A trigger deletes `provider_message` and `thinking` whenever the output of a posted call is set (migration 0017).
UPDATE public.llm_calls c SET output = NULL
FROM public.turns t
WHERE t.session_id = :b_id AND t.xmin = pg_current_xact_id()::xid AND t.status NOT IN ('accepted', 'running')
    AND c.turn_id = t.id;

-- part replies
UPDATE public.replies r SET text = NULL
FROM public.turns t WHERE t.session_id = :b_id AND t.xmin = pg_current_xact_id()::xid AND r.turn_id = t.id;

-- part checkpoints
-- After the part that waits for an active turn, because that turn's publish may add a checkpoint.
DELETE FROM public.checkpoints c USING public.sessions s
WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND c.thread_id = s.tenant_id || ':' || s.id;

-- part checkpoint_blobs
DELETE FROM public.checkpoint_blobs b USING public.sessions s
WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND b.thread_id = s.tenant_id || ':' || s.id;

-- part checkpoint_writes
DELETE FROM public.checkpoint_writes w USING public.sessions s
WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND w.thread_id = s.tenant_id || ':' || s.id;

-- part summaries
DELETE FROM public.summaries m
USING public.sessions s WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND m.session_id = s.id;
