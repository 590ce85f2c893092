-- Move one posted call out of suspense by the provider's own record.

-- include settle
