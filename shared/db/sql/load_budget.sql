-- part load
-- A payer's month, what its releases before 0012 wrote beside it included.
SELECT now.period, l.limit_usd, l.cap_usd, m.held_usd, m.spent_usd
FROM (SELECT date_trunc('month', timezone('UTC', now()))::date AS period) now
LEFT JOIN budget_limits l ON l.payer = :b_payer
LEFT JOIN payer_months m ON m.payer = :b_payer AND m.period = now.period;
