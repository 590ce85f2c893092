-- Settle one posted call by the provider's own record.

-- include settle
