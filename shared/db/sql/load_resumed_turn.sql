-- part load
-- The parts of load_new_turn that a claimed turn needs: its agents at their pinned versions, and the past as its first
-- attempt saw it.
WITH session AS (
    SELECT :b_turn_index::integer AS next_turn_index
)
SELECT
(
    SELECT row_to_json(told) FROM (
        SELECT imported, instructions FROM public.sessions WHERE id = :b_session_id
    ) told
) AS session,
(
    SELECT json_agg(roster) FROM (
        SELECT v.key, v.version, v.name, v.role_prompt, v.model_alias, v.max_output_tokens, v.temperature, v.enabled
        FROM public.agent_versions v JOIN jsonb_to_recordset(:b_roster::jsonb) AS pinned (key text, version integer)
            USING (key, version)
    ) roster
) AS agents,
-- include past
;
