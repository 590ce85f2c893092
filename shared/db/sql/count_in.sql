-- part count_in
-- Add the rows of `budget_settlements` to `budgets`. A release before migration 0012 wrote them. A month's row is
-- locked before its settlements are taken, as that release does it. A row that is locked now is left for the next minute.
WITH months AS (
    SELECT payer, period FROM budgets b
    WHERE EXISTS (SELECT FROM budget_settlements s WHERE s.payer = b.payer AND s.period = b.period)
    ORDER BY payer DESC, period
    FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM budget_settlements s USING months m WHERE s.payer = m.payer AND s.period = m.period
    RETURNING s.payer, s.period, s.held_usd, s.spent_usd
)
INSERT INTO budgets AS b (payer, period, held_usd, spent_usd)
SELECT payer, period, sum(held_usd), sum(spent_usd) FROM taken GROUP BY payer, period
ON CONFLICT (payer, period) DO UPDATE
SET held_usd = b.held_usd + excluded.held_usd, spent_usd = b.spent_usd + excluded.spent_usd;
