-- part measure
-- Store the platform's spending of this month over all tenants. Holds compare it with the platform's limit.
INSERT INTO public.platform_months AS m (period, spent_usd, measured_at)
SELECT now.period, coalesce(sum(b.spent_usd), 0), now()
FROM (SELECT date_trunc('month', timezone('UTC', now()))::date AS period) now
LEFT JOIN public.budgets b ON b.period = now.period AND starts_with(b.payer, 'platform:')
GROUP BY now.period
ON CONFLICT (period) DO UPDATE SET spent_usd = excluded.spent_usd, measured_at = excluded.measured_at
WHERE m.measured_at < excluded.measured_at;
