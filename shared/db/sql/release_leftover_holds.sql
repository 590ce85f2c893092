-- Release the holds that the release before 0014 leaves behind while both releases serve. Its calls keep theirs when
-- they are settled, and its turns when the first agent is asked or the turn ends. This release leaves none.

-- part months
-- Lock the months before their holds, as publish does.
INSERT INTO public.budgets AS b (payer, period)
SELECT DISTINCT h.payer, h.period FROM public.budget_holds h
WHERE
-- include leftover
ORDER BY 1, 2
ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd;

-- part freed
WITH freed AS (
    DELETE FROM public.budget_holds h USING public.budgets b
    WHERE b.payer = h.payer AND b.period = h.period AND b.xmin = pg_current_xact_id()::xid -- locked above
        AND (
-- include leftover
        )
    RETURNING h.payer, h.period, h.held_usd
), moves AS (
    SELECT payer, period, -sum(held_usd) AS held FROM freed GROUP BY payer, period
)
INSERT INTO public.budgets AS b (payer, period, held_usd)
SELECT payer, period, held FROM moves ORDER BY payer, period
ON CONFLICT (payer, period) DO UPDATE SET held_usd = b.held_usd + excluded.held_usd;
