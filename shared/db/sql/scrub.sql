-- Take the text of a session away. The session is marked first; the ledger keeps its rows.

-- part session
-- With a number of days, only a session that was not touched for that long and has no active turn.
UPDATE sessions s SET deleted_at = clock_timestamp(), title = ''
WHERE id = :b_id AND deleted_at IS NULL AND
-- include owned
AND (:b_days::integer IS NULL
    OR created_at < now() - make_interval(hours => :b_days::integer * 24)
    AND updated_at < now() - make_interval(hours => :b_days::integer * 24)
    AND NOT EXISTS (SELECT FROM turns WHERE session_id = s.id AND status IN ('accepted', 'running')))
RETURNING true AS scrubbed;

-- part turns
-- The publish that ends an active turn scrubs it.
UPDATE turns t
SET deleted_at = clock_timestamp(),
    message = CASE WHEN t.status IN ('accepted', 'running') THEN t.message ELSE '' END,
    response = NULL,
    plan = CASE WHEN t.status IN ('accepted', 'running') THEN t.plan
                ELSE jsonb_set(t.plan, '{unknown_tags}', '[]') END
FROM sessions s WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND t.session_id = s.id;

-- part calls
UPDATE llm_calls c SET output = NULL
FROM turns t
WHERE t.session_id = :b_id AND t.xmin = pg_current_xact_id()::xid AND t.status NOT IN ('accepted', 'running')
    AND c.turn_id = t.id;

-- part replies
UPDATE replies r SET text = NULL
FROM turns t WHERE t.session_id = :b_id AND t.xmin = pg_current_xact_id()::xid AND r.turn_id = t.id;

-- part summaries
DELETE FROM summaries m
USING sessions s WHERE s.id = :b_id AND s.xmin = pg_current_xact_id()::xid AND m.session_id = s.id;
