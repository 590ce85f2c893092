-- part load
-- A tenant's month, and the platform's share for it. Suspense that the share bears counts as drawn instead of held.
SELECT now.period, l.limit_usd, l.cap_usd, m.held_usd, m.spent_usd, s.cap_usd AS allowance_usd,
       p.held_usd - coalesce(suspense.usd, 0) AS share_held_usd, p.spent_usd + coalesce(suspense.usd, 0) AS share_drawn_usd
FROM (
    SELECT date_trunc('month', timezone('UTC', now()))::date AS period,
           'tenant:' || :b_tenant_id::text AS payer, 'platform:' || :b_tenant_id::text AS share
) now
LEFT JOIN public.budget_limits l ON l.payer = now.payer
LEFT JOIN public.budget_limits s ON s.payer = now.share
LEFT JOIN public.budgets m ON m.payer = now.payer AND m.period = now.period
LEFT JOIN public.budgets p ON p.payer = now.share AND p.period = now.period
CROSS JOIN LATERAL (
    SELECT sum(held_usd) AS usd FROM public.budget_holds h
    WHERE h.payer = now.share AND h.period = now.period AND h.reason = 'suspense'
) suspense;
