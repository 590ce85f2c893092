-- Serialise the tenant's requests that add to a quota, so that their counts are exact.

-- part tenant
INSERT INTO public.tenants (tenant_id) VALUES (:b_tenant_id) ON CONFLICT DO NOTHING;

-- part locked
-- The lock order is sessions, tenants, agents, agent_versions, councils, turns.
SELECT true AS locked FROM public.tenants WHERE tenant_id = :b_tenant_id FOR NO KEY UPDATE;
