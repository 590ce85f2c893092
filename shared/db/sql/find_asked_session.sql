-- part found
-- The session's fields that decide which agents answer. Sessions of plain calls are not found.
SELECT model, mode, fan_out, agent_keys, chair_key FROM public.sessions s
WHERE id = :b_session_id AND deleted_at IS NULL AND origin <> 'call' AND
-- include visible
;
