-- part ended
-- End only the lease that was taken. After it expired, another wait may have the slot.
UPDATE public.waits SET ends_at = clock_timestamp()
WHERE tenant_id = :b_tenant_id AND slot = :b_slot AND ends_at = :b_ends_at;
