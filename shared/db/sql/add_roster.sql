-- Give a new tenant the roster of the deployment's template. A tenant is new until it has a row in `tenants`.

-- part roster
WITH tenant AS (
    -- A request of the same moment waits here, and then finds the row.
    INSERT INTO public.tenants (tenant_id) VALUES (:b_tenant_id) ON CONFLICT DO NOTHING RETURNING tenant_id
),
newcomer AS (
    -- The first releases made agents without that row.
    SELECT tenant_id FROM tenant WHERE NOT EXISTS (SELECT FROM public.agents)
),
agent AS (
    SELECT tenant_id, key, name, role_prompt, model_alias, max_output_tokens, temperature, enabled
    FROM newcomer, jsonb_to_recordset(:b_agents::jsonb)
        AS a (key text, name text, role_prompt text, model_alias text, max_output_tokens integer, temperature float8,
              enabled boolean)
),
agents AS (
    INSERT INTO public.agents (tenant_id, key, version) SELECT tenant_id, key, 1 FROM agent
),
versions AS (
    INSERT INTO public.agent_versions (tenant_id, key, version, name, role_prompt, model_alias, max_output_tokens,
                                       temperature, enabled, pinned)
    SELECT tenant_id, key, 1, name, role_prompt, model_alias, max_output_tokens, temperature, enabled, false FROM agent
),
councils AS (
    INSERT INTO public.councils (tenant_id, key, name, mode, agent_keys, fan_out, chair_key, version)
    SELECT tenant_id, key, name, mode, agent_keys, fan_out, chair_key, 1
    FROM newcomer, jsonb_to_recordset(:b_councils::jsonb)
        AS c (key text, name text, mode text, agent_keys text[], fan_out text, chair_key text)
)
SELECT EXISTS (SELECT FROM newcomer) AS is_new;
