-- part load
-- The tenants that have drawn most from their allowance this month, most expensive first. Drawn is the platform's
-- spending for them, and the reserves of calls of unknown outcome.
SELECT substr(b.payer, length('platform:') + 1) AS tenant_id, b.period, b.spent_usd + coalesce(h.usd, 0) AS drawn_usd,
       coalesce(h.usd, 0) AS suspense_usd
FROM public.budgets b
LEFT JOIN (
    SELECT payer, period, sum(held_usd) AS usd FROM public.budget_holds WHERE reason = 'suspense' GROUP BY payer, period
) h ON h.payer = b.payer AND h.period = b.period
WHERE starts_with(b.payer, 'platform:') AND b.period = date_trunc('month', timezone('UTC', now()))::date
    AND b.spent_usd + coalesce(h.usd, 0) > 0
ORDER BY drawn_usd DESC, tenant_id
LIMIT :b_limit::bigint;
