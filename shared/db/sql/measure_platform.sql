-- part measure
-- An older measurement never replaces a newer one.
INSERT INTO platform_months AS m (period, spent_usd, measured_at) VALUES (:b_period, :b_spent_usd, :b_measured_at)
ON CONFLICT (period) DO UPDATE SET spent_usd = excluded.spent_usd, measured_at = excluded.measured_at
WHERE m.measured_at < excluded.measured_at;
