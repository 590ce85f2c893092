-- part cap
INSERT INTO public.budget_limits (payer, cap_usd) VALUES (:b_payer, :b_usd::numeric)
ON CONFLICT (payer) DO UPDATE SET cap_usd = excluded.cap_usd;
