-- Make the session of a chat program's conversation. With a name, only if the name still means what was found.

-- part named ? b_name
INSERT INTO public.conversations AS c (tenant_id, user_id, name, session_id)
VALUES (:b_tenant_id, :b_user_id, :b_name, :b_id)
ON CONFLICT (tenant_id, user_id, name) DO UPDATE SET session_id = excluded.session_id
WHERE c.session_id = :b_replaced_id;

-- part made
INSERT INTO public.sessions (id, tenant_id, user_id, title, mode, fan_out, agent_keys, chair_key, visibility, origin,
                             model, imported, instructions)
SELECT :b_id, :b_tenant_id, :b_user_id, :b_title, :b_mode, :b_fan_out, :b_agent_keys::text[], :b_chair_key, 'private',
       :b_origin, :b_model, :b_imported::jsonb, :b_instructions
WHERE :b_name::text IS NULL OR EXISTS (
    SELECT FROM public.conversations WHERE user_id = :b_user_id AND name = :b_name AND session_id = :b_id
)
RETURNING true AS made;
