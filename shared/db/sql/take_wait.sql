-- Take one of the tenant's slots for a wait. Returns no row if all are taken.

-- part slots
INSERT INTO public.waits (tenant_id, slot, ends_at)
SELECT :b_tenant_id, slot, clock_timestamp() FROM generate_series(1, :b_slots::integer) AS slot
ON CONFLICT DO NOTHING;

-- part taken
-- A slot with an expired lease is free, so a killed function keeps none.
UPDATE public.waits SET ends_at = clock_timestamp() + make_interval(secs => :b_lease_s::float8)
WHERE tenant_id = :b_tenant_id AND slot = (
    SELECT slot FROM public.waits
    WHERE tenant_id = :b_tenant_id AND slot <= :b_slots::integer AND ends_at <= clock_timestamp()
    ORDER BY slot LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING slot, ends_at;
