-- part intents ? i_calls
-- Hold the reserve of the calls in their payer's month and insert them, both or neither. This part locks the month's
-- row until the commit, so no later part of a step takes a lock. The platform pays from its share for this tenant,
-- unless the operator's limit for the whole platform is used up, by the sweeper's last measurement.
WITH asked AS (
    SELECT t.id, t.tenant_id, t.session_id, payer.budget,
           least(l.limit_usd, coalesce(l.cap_usd, :i_default_usd)) AS most
    FROM turns t
    CROSS JOIN LATERAL (
        SELECT CASE :i_payer WHEN 'platform' THEN 'platform:' || t.tenant_id ELSE :i_payer END AS budget
    ) payer
    LEFT JOIN budget_limits l ON l.payer = payer.budget
    WHERE t.id = :t_id AND t.xmin = pg_current_xact_id()::xid -- accepted or fenced by this transaction
        AND t.cancel_requested_at IS NULL AND t.deleted_at IS NULL
        AND NOT (:i_payer = 'platform' AND EXISTS (
            SELECT FROM budget_limits p
            LEFT JOIN platform_months m ON m.period = date_trunc('month', timezone('UTC', now()))::date
            WHERE p.payer = 'platform' AND coalesce(m.spent_usd, 0) >= p.limit_usd
        ))
), held AS (
    INSERT INTO budgets AS b (payer, period, held_usd)
    SELECT budget, date_trunc('month', timezone('UTC', now()))::date, :i_reserve_usd
    FROM asked
    WHERE :i_reserve_usd <= most
    ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd
    WHERE b.spent_usd + b.held_usd + excluded.held_usd <= (SELECT most FROM asked)
    RETURNING b.period
)
INSERT INTO llm_calls (call_id, tenant_id, session_id, turn_id, status, payer, period, step, attempt, purpose, agent_key,
                       agent_version, model_alias, provider, model_id, request_hash, reserve_usd, rates)
SELECT c.call_id, asked.tenant_id, asked.session_id, asked.id, 'intent', :i_payer, held.period, c.step, c.attempt,
       c.purpose, c.agent_key, c.agent_version, c.model_alias, c.provider, c.model_id, c.request_hash, c.reserve_usd,
       c.rates
FROM asked, held, jsonb_to_recordset(:i_calls::jsonb) AS c (
    call_id uuid, step integer, attempt integer, purpose text, agent_key text, agent_version integer, model_alias text,
    provider text, model_id text, request_hash text, reserve_usd numeric, rates jsonb
)
RETURNING true AS held;
