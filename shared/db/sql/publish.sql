-- Publish a turn: all of its results become visible in one commit. The response was built for certain marks (cancel,
-- delete) and lost calls. If they have changed, this step records only the last outcome, and the caller builds the
-- response again.

-- part fence
SELECT cancel_requested_at IS NOT NULL AS cancelled, deleted_at IS NOT NULL AS deleted
FROM public.turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
FOR NO KEY UPDATE;

-- part lost
-- Lock and count the calls that an earlier runner left without an outcome. A late outcome waits for this lock, and
-- becomes an adjustment.
SELECT count(*) AS lost FROM (
    SELECT FROM public.llm_calls c
    WHERE turn_id = :t_id AND status = 'unknown' AND finished_at IS NULL AND EXISTS (
        SELECT FROM public.turns WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
    )
    ORDER BY step, attempt
    FOR UPDATE
) calls;

-- part ended
-- The parts below, except `outcome`, write only if this part ended the turn.
UPDATE public.turns
SET status = :t_status,
    plan = CASE WHEN deleted_at IS NULL THEN coalesce(plan, :t_plan::jsonb)
                ELSE jsonb_set(coalesce(plan, :t_plan::jsonb), '{unknown_tags}', '[]') END,
    message = CASE WHEN deleted_at IS NULL AND NOT :t_is_forgotten THEN message ELSE '' END,
    options = CASE WHEN deleted_at IS NULL AND NOT :t_is_forgotten THEN options END,
    deleted_at = CASE WHEN :t_is_forgotten THEN coalesce(deleted_at, :t_completed_at) ELSE deleted_at END,
    past_after = :t_past_after,
    response = :t_response,
    completed_at = :t_completed_at,
    lease_expires_at = NULL,
    dispatch_after = NULL
WHERE id = :t_id AND lease_epoch = :t_epoch AND status = 'running'
    AND (cancel_requested_at IS NOT NULL) = :t_saw_cancel
    AND (deleted_at IS NOT NULL) = :t_saw_delete
    AND (
        SELECT count(*) FROM public.llm_calls WHERE turn_id = :t_id AND status = 'unknown' AND finished_at IS NULL
    ) = :t_saw_lost
RETURNING true AS published;

-- include outcome

-- part hidden ? t_hides
-- The session of a plain call ends with its turn. No other transaction locks it while the turn is active.
UPDATE public.sessions s SET deleted_at = t.completed_at
FROM public.turns t
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND s.id = t.session_id;

-- part replies
INSERT INTO public.replies (turn_id, tenant_id, position, agent_key, agent_version, name, status, text, stop_reason,
                            error_code, model_alias, input_tokens, output_tokens, cache_read_tokens,
                            cache_write_tokens, reasoning_tokens, cost_usd, is_heard)
SELECT t.id, t.tenant_id, r.*
FROM public.turns t, jsonb_to_recordset(:t_replies::jsonb) AS r (
    position integer, agent_key text, agent_version integer, name text, status text, text text, stop_reason text,
    error_code text, model_alias text, input_tokens bigint, output_tokens bigint, cache_read_tokens bigint,
    cache_write_tokens bigint, reasoning_tokens bigint, cost_usd numeric, is_heard boolean
)
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid;

-- part summary ? t_summary
INSERT INTO public.summaries (turn_id, tenant_id, session_id, id, through_turn_index, text, key_facts, decisions,
                              open_questions, action_items, archived, fallbacks, items, archive, last_numbers)
SELECT t.id, t.tenant_id, t.session_id, s.*
FROM public.turns t, jsonb_to_record(:t_summary::jsonb) AS s (
    id uuid, through_turn_index integer, text text, key_facts jsonb, decisions jsonb, open_questions jsonb,
    action_items jsonb, archived jsonb, fallbacks jsonb, items jsonb, archive jsonb, last_numbers jsonb
)
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND t.deleted_at IS NULL;

-- part forgotten ? t_state
-- A session keeps one checkpoint of its graph. This turn's replaces the one before.
WITH thread AS (
    SELECT tenant_id || ':' || session_id AS id FROM public.turns WHERE id = :t_id AND xmin = pg_current_xact_id()::xid
), blobs AS (
    DELETE FROM public.checkpoint_blobs b USING thread WHERE b.thread_id = thread.id
), writes AS (
    DELETE FROM public.checkpoint_writes w USING thread WHERE w.thread_id = thread.id
)
DELETE FROM public.checkpoints c USING thread WHERE c.thread_id = thread.id;

-- part kept ? t_state
WITH state AS (
    SELECT t.tenant_id || ':' || t.session_id AS thread_id, s.*
    FROM public.turns t, jsonb_to_record(:t_state::jsonb) AS s (
        checkpoint_id text, checkpoint jsonb, metadata jsonb, blobs jsonb
    )
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid
), blobs AS (
    INSERT INTO public.checkpoint_blobs (thread_id, channel, version, type, blob)
    SELECT state.thread_id, b.channel, b.version, b.type, decode(b.blob, 'base64')
    FROM state, jsonb_to_recordset(state.blobs) AS b (channel text, version text, type text, blob text)
)
INSERT INTO public.checkpoints (thread_id, checkpoint_id, checkpoint, metadata)
SELECT thread_id, checkpoint_id, checkpoint, metadata FROM state;

-- part audit
INSERT INTO public.audit_events (turn_id, tenant_id, session_id, user_id, event, detail)
SELECT id, tenant_id, session_id, user_id, 'turn_published', :t_audit::jsonb
FROM public.turns WHERE id = :t_id AND xmin = pg_current_xact_id()::xid;

-- part share ? t_undecided
-- Lock all months that the parts below change: the share's before the tenant's, older months first. `moved` alone would
-- lock a month of the tenant before `money` locks an older one.
INSERT INTO public.budgets AS b (payer, period)
SELECT m.payer, c.period
FROM public.turns t JOIN public.llm_calls c ON c.turn_id = t.id,
    LATERAL (VALUES ('platform:' || c.tenant_id), ('tenant:' || c.tenant_id)) m (payer)
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND c.posted_at IS NULL
UNION
SELECT h.payer, h.period
FROM public.turns t JOIN public.budget_holds h ON h.id = t.id
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid
ORDER BY 1, 2
ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd;

-- part moved ? t_undecided
-- Move the failed attempts to the platform's share, by step and attempt, while their cost fits. The share's own calls
-- of this turn are posted below, so they count at their cost.
WITH RECURSIVE calls AS (
    SELECT c.call_id, c.tenant_id, c.period, c.reserve_usd,
           CASE WHEN c.status IN ('intent', 'unknown') THEN c.reserve_usd ELSE c.cost_usd END AS amount,
           c.payer = 'platform' AS shared, c.verdict = 'reply' AS replied, c.step, c.attempt
    FROM public.turns t JOIN public.llm_calls c ON c.turn_id = t.id
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND c.posted_at IS NULL
), failed AS (
    SELECT call_id, tenant_id, period, reserve_usd, amount,
           row_number() OVER (PARTITION BY period ORDER BY step, attempt) AS number
    FROM calls WHERE NOT shared AND replied IS NOT TRUE
), walk AS (
    SELECT due.period, 0::bigint AS number, NULL::uuid AS call_id, allowance.most - b.spent_usd - b.held_usd
        + coalesce((SELECT sum(reserve_usd - amount) FROM calls WHERE shared AND period = due.period), 0) AS room
    FROM (SELECT DISTINCT tenant_id, period FROM failed) due
    JOIN public.budgets b ON b.payer = 'platform:' || due.tenant_id AND b.period = due.period, LATERAL (
-- include share_limit
    ) allowance
    UNION ALL
    SELECT w.period, f.number, CASE WHEN f.amount <= w.room THEN f.call_id END,
           CASE WHEN f.amount <= w.room THEN w.room - f.amount ELSE w.room END
    FROM walk w JOIN failed f ON f.period = w.period AND f.number = w.number + 1
), moved AS (
    UPDATE public.llm_calls c SET payer = 'platform' FROM walk w WHERE c.call_id = w.call_id
    RETURNING c.tenant_id, c.period, c.reserve_usd
), moves AS (
    SELECT 'platform:' || tenant_id AS payer, period, reserve_usd AS held FROM moved
    UNION ALL
    SELECT 'tenant:' || tenant_id, period, -reserve_usd FROM moved
)
INSERT INTO public.budgets AS b (payer, period, held_usd)
SELECT payer, period, sum(held) FROM moves GROUP BY payer, period ORDER BY payer, period
ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd;

-- part money
-- Post every call of the turn. Its payer's month releases the reserve and adds the cost; the reserve of an unknown
-- outcome stays held. The journal's text is deleted, because the replies have it. The months' rows are locked from here
-- to the commit: the share's before the tenant's, older months first.
WITH posted AS (
    UPDATE public.llm_calls c
    SET posted_at = clock_timestamp(),
        output = NULL,
        cost_usd = CASE c.status WHEN 'intent' THEN c.reserve_usd ELSE c.cost_usd END,
        status = CASE c.status WHEN 'intent' THEN 'unknown' ELSE c.status END
    FROM public.turns t
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid AND c.turn_id = t.id AND c.posted_at IS NULL
    RETURNING c.*, t.user_id, t.api_key_id,
        CASE c.payer WHEN 'platform' THEN 'platform:' || c.tenant_id ELSE c.payer END AS month_of,
        CASE WHEN c.status = 'unknown' THEN 'suspense' WHEN c.payer = 'platform' THEN 'platform' ELSE 'tenant' END
            AS account,
        CASE
            WHEN c.status = 'unknown' THEN 'unknown_outcome'
            WHEN c.verdict IS DISTINCT FROM 'reply' THEN 'failed_attempt'
            WHEN c.purpose = 'agent' THEN 'reply'
            WHEN c.purpose = 'review' THEN 'review'
            ELSE 'helper'
        END AS reason
), entries AS (
    INSERT INTO public.usage_ledger (kind, account, reason, amount_usd, tenant_id, session_id, turn_id, user_id,
                                     api_key_id, call_id, step, attempt, period, purpose, agent_key, model_alias,
                                     provider, rates, input_tokens, output_tokens, cache_read_tokens,
                                     cache_write_tokens, reasoning_tokens, cache_write_1h_tokens)
    SELECT 'post', account, reason, cost_usd, tenant_id, session_id, turn_id, user_id, api_key_id,
           call_id, step, attempt, period, purpose, agent_key, model_alias, provider, rates, input_tokens,
           output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
           cache_write_1h_tokens
    FROM posted
), suspended AS (
    INSERT INTO public.budget_holds (id, tenant_id, reason, payer, period, held_usd)
    SELECT call_id, tenant_id, 'suspense', month_of, period, reserve_usd FROM posted WHERE account = 'suspense'
), accepted AS (
    DELETE FROM public.budget_holds h USING public.turns t
    WHERE h.id = :t_id AND t.id = h.id AND t.xmin = pg_current_xact_id()::xid
    RETURNING h.payer, h.period, h.held_usd
), moves AS (
    SELECT month_of AS payer, period, -reserve_usd AS held, cost_usd AS spent FROM posted WHERE account <> 'suspense'
    UNION ALL
    SELECT payer, period, -held_usd, 0 FROM accepted
)
-- include add_moves

-- part response ? t_undecided
-- Append the costs to the response: only now is it known who bears the failed attempts.
UPDATE public.turns t
SET response = :t_response_head || ',"cost_usd":"' || c.tenant_usd || '","platform_cost_usd":"' || c.platform_usd || '"}'
FROM (
    SELECT trim_scale(coalesce(sum(cost_usd) FILTER (WHERE payer <> 'platform'), 0))::text AS tenant_usd,
           trim_scale(coalesce(sum(cost_usd) FILTER (WHERE payer = 'platform'), 0))::text AS platform_usd
    FROM public.llm_calls WHERE turn_id = :t_id AND status <> 'unknown'
) c
WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid
RETURNING c.tenant_usd, c.platform_usd;
