-- The limit of the platform's share for tenant `due.tenant_id` in month `due.period`. It is NULL, which covers nothing,
-- while the platform's own limit is spent by the sweeper's last measurement.
SELECT CASE WHEN p.limit_usd <= coalesce(m.spent_usd, 0) THEN NULL ELSE coalesce(l.cap_usd, :p_allowance_usd) END AS most
FROM (VALUES (due.tenant_id, due.period)) d (tenant_id, period)
LEFT JOIN public.budget_limits p ON p.payer = 'platform'
LEFT JOIN public.platform_months m ON m.period = d.period
LEFT JOIN public.budget_limits l ON l.payer = 'platform:' || d.tenant_id
