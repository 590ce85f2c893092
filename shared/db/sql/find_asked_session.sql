-- part found
-- The session that is asked, as far as it says which agents answer. Calls without a session are not there.
SELECT model, mode, fan_out, agent_keys, chair_key FROM public.sessions s
WHERE id = :b_session_id AND deleted_at IS NULL AND origin <> 'call' AND
-- include visible
;
