-- part load
-- Sum the platform's shares for all tenants this month.
SELECT now.period, l.limit_usd, l.cap_usd, m.held_usd, m.spent_usd
FROM (SELECT date_trunc('month', timezone('UTC', now()))::date AS period) now
LEFT JOIN public.budget_limits l ON l.payer = 'platform'
CROSS JOIN LATERAL (
    SELECT sum(held_usd) AS held_usd, sum(spent_usd) AS spent_usd FROM public.budgets
    WHERE period = now.period AND starts_with(payer, 'platform:')
) m;
