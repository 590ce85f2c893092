-- Add each payer's moves of `held` and `spent` to its months, the share's before the tenant's, older months first.
INSERT INTO public.budgets AS b (payer, period, held_usd, spent_usd)
SELECT payer, period, sum(held), sum(spent) FROM moves
GROUP BY payer, period
HAVING sum(held) <> 0 OR sum(spent) <> 0
ORDER BY payer, period
ON CONFLICT (payer, period) DO UPDATE
SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd;
