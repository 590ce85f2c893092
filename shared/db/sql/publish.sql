-- Publish a turn: everything that it learned becomes visible in one commit. The response was built for certain marks
-- (cancel, delete) and lost calls. If the marks or lost calls have changed, this step records only the last outcome.
-- The caller then rebuilds the response.

-- part fence
SELECT cancel_requested_at IS NOT NULL AS cancelled, deleted_at IS NOT NULL AS deleted
FROM turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
FOR NO KEY UPDATE;

-- part lost
-- Lock and count the calls that an earlier runner left without an outcome. A late outcome waits for this lock and
-- becomes an adjustment.
SELECT count(*) AS lost FROM (
    SELECT FROM llm_calls c
    WHERE turn_id = :t_id AND status = 'unknown' AND finished_at IS NULL AND EXISTS (
        SELECT FROM turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
    )
    ORDER BY step, attempt
    FOR UPDATE
) calls;

-- part ended
-- The parts below, except `outcome`, write only if this part ended the turn.
UPDATE turns
SET status = :t_status,
    plan = CASE WHEN deleted_at IS NULL THEN coalesce(plan, :t_plan::jsonb)
                ELSE jsonb_set(coalesce(plan, :t_plan::jsonb), '{unknown_tags}', '[]') END,
    message = CASE WHEN deleted_at IS NULL THEN message ELSE '' END,
    response = :t_response,
    completed_at = :t_completed_at,
    lease_expires_at = NULL,
    dispatch_after = NULL
WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
    AND (cancel_requested_at IS NOT NULL) = :t_saw_cancel
    AND (deleted_at IS NOT NULL) = :t_saw_delete
    AND (SELECT count(*) FROM llm_calls WHERE turn_id = :t_id AND status = 'unknown' AND finished_at IS NULL) = :t_saw_lost
RETURNING true AS published;

-- include outcome

-- part replies
INSERT INTO replies (turn_id, tenant_id, position, agent_key, agent_version, name, status, text, stop_reason, error_code,
                     model_alias, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
                     cost_usd)
SELECT t.id, t.tenant_id, r.*
FROM turns t, jsonb_to_recordset(:t_replies::jsonb) AS r (
    position integer, agent_key text, agent_version integer, name text, status text, text text, stop_reason text,
    error_code text, model_alias text, input_tokens bigint, output_tokens bigint, cache_read_tokens bigint,
    cache_write_tokens bigint, reasoning_tokens bigint, cost_usd numeric
)
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid;

-- part summary ? t_summary
INSERT INTO summaries (turn_id, tenant_id, session_id, id, through_turn_index, text, key_facts, decisions,
                       open_questions, action_items, archived, fallbacks, items, archive, last_numbers)
SELECT t.id, t.tenant_id, t.session_id, s.*
FROM turns t, jsonb_to_record(:t_summary::jsonb) AS s (
    id uuid, through_turn_index integer, text text, key_facts jsonb, decisions jsonb, open_questions jsonb,
    action_items jsonb, archived jsonb, fallbacks jsonb, items jsonb, archive jsonb, last_numbers jsonb
)
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND t.deleted_at IS NULL;

-- part audit
INSERT INTO audit_events (turn_id, tenant_id, session_id, user_id, event, detail)
SELECT id, tenant_id, session_id, user_id, 'turn_published', :t_audit::jsonb
FROM turns WHERE id = :t_id AND xmin = pg_current_xact_id()::xid;

-- part money
-- Post every call of the turn. Release its hold in its payer's month. Add its cost to the month of the account that
-- pays. Text leaves the journal, because the replies hold it now. The months' rows are locked from here to the commit:
-- a tenant's before the platform's, older months first.
WITH posted AS (
    UPDATE llm_calls c
    SET posted_at = clock_timestamp(),
        output = NULL,
        cost_usd = CASE c.status WHEN 'intent' THEN c.reserve_usd ELSE c.cost_usd END,
        status = CASE c.status WHEN 'intent' THEN 'unknown' ELSE c.status END
    FROM turns t
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND c.turn_id = t.id AND c.posted_at IS NULL
    RETURNING c.*, CASE
        WHEN c.verdict = 'reply' AND c.payer <> 'platform' THEN 'tenant'
        WHEN c.status = 'unknown' THEN 'suspense'
        ELSE 'platform'
    END AS account
), entries AS (
    INSERT INTO usage_ledger (kind, account, amount_usd, tenant_id, session_id, turn_id, call_id, step, attempt, period,
                              purpose, agent_key, model_alias, rates, input_tokens, output_tokens, cache_read_tokens,
                              cache_write_tokens, reasoning_tokens, cache_write_1h_tokens)
    SELECT 'post', account, cost_usd, tenant_id, session_id, turn_id, call_id, step, attempt, period,
           purpose, agent_key, model_alias, rates, input_tokens, output_tokens, cache_read_tokens,
           cache_write_tokens, reasoning_tokens, cache_write_1h_tokens
    FROM posted
), moves AS (
    SELECT CASE payer WHEN 'platform' THEN 'platform:' || tenant_id ELSE payer END AS payer, period,
           -reserve_usd AS held, 0 AS spent
    FROM posted
    UNION ALL
    SELECT account || ':' || tenant_id, period, 0, cost_usd FROM posted WHERE account <> 'suspense'
)
INSERT INTO budgets AS b (payer, period, held_usd, spent_usd)
SELECT payer, period, sum(held), sum(spent) FROM moves
GROUP BY payer, period
HAVING sum(held) <> 0 OR sum(spent) <> 0
ORDER BY payer DESC, period
ON CONFLICT (payer, period) DO UPDATE
SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd;
