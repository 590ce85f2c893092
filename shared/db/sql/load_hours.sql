-- part load
-- Sum the calls that were posted in this hour, and in the same hour of each of the seven days before, over all tenants.
-- An hour is read from its roll-up, else from the ledger. A call of unknown outcome counts at its reserve. Adjustments
-- are left out, because their amounts would hide this hour's spending.
SELECT hours.days_ago, coalesce(rolled.usd, 0) + coalesce(posted.usd, 0) AS usd
FROM (
    SELECT days_ago, date_trunc('hour', now(), 'UTC') - days_ago * interval '24 hours' AS start,
           (SELECT coalesce(max(until), '-infinity') FROM public.usage_rolled_up) AS until
    FROM generate_series(0, 7) AS days_ago
) hours
CROSS JOIN LATERAL (
    SELECT sum(amount_usd) AS usd FROM public.usage_hours h
    WHERE h.start = hours.start AND h.start < hours.until AND h.kind = 'post'
) rolled
CROSS JOIN LATERAL (
    SELECT sum(amount_usd) AS usd FROM public.usage_entries e
    WHERE e.created_at >= greatest(hours.start, hours.until) AND e.created_at < hours.start + interval '1 hour'
        AND e.kind = 'post'
) posted
ORDER BY hours.days_ago;
