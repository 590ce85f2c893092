-- Find an API key by its hash, and keep the time of its use.

-- part presented
-- The policy of pantheon_auth shows the row with this hash and no other.
SELECT set_config('app.key_hash', encode(:b_key_hash::bytea, 'hex'), true) IS NOT NULL AS presented;

-- part key
-- Within the minute of the last written use, nothing is written and the row is read once: the update's subquery is
-- NULL. The update tests the minute again, because a concurrent lookup may have written while this one waited.
WITH key AS (
    SELECT id, tenant_id, created_by, role,
           last_used_at IS NULL OR last_used_at < date_trunc('minute', now(), 'UTC') AS is_due
    FROM public.api_keys
    WHERE key_hash = :b_key_hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
),
used AS (
    UPDATE public.api_keys SET last_used_at = now()
    WHERE id = (SELECT id FROM key WHERE is_due)
        AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', now(), 'UTC'))
)
SELECT id, tenant_id, created_by, role FROM key;
