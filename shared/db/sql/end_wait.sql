-- part ended
-- Only the lease that was taken: another wait may have the slot after it lapsed.
UPDATE public.waits SET ends_at = clock_timestamp()
WHERE tenant_id = :b_tenant_id AND slot = :b_slot AND ends_at = :b_ends_at;
