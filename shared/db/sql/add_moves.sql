-- Add the changes of `held` and `spent` to each payer's months: the share before the tenant, older months first.
INSERT INTO public.budgets AS b (payer, period, held_usd, spent_usd)
SELECT payer, period, sum(held), sum(spent) FROM moves
GROUP BY payer, period
HAVING sum(held) <> 0 OR sum(spent) <> 0
ORDER BY payer, period
ON CONFLICT (payer, period) DO UPDATE
SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd;
