-- part limit
-- The limit may not exceed the cap at the time of the row lock. Without a row, the cap is the default.
INSERT INTO public.budget_limits AS l (payer, limit_usd)
SELECT :b_payer, :b_usd::numeric
WHERE coalesce(:b_usd::numeric <= :b_default_usd::numeric, true)
    OR EXISTS (SELECT FROM public.budget_limits WHERE payer = :b_payer)
ON CONFLICT (payer) DO UPDATE SET limit_usd = excluded.limit_usd
WHERE coalesce(excluded.limit_usd <= coalesce(l.cap_usd, :b_default_usd::numeric), true)
RETURNING payer;
