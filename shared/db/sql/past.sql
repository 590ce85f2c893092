(
    SELECT json_agg(newest ORDER BY newest.turn_index) FROM (
        SELECT t.turn_index, t.message, (
            SELECT json_agg(said ORDER BY said.position) FROM (
                SELECT position, agent_key, name, text FROM replies WHERE turn_id = t.id AND status = 'completed'
            ) said
        ) AS replies
        FROM turns t
        -- Indexes are dense, so these are all. The planner does not know that, and would sort the whole session.
        WHERE t.session_id = :b_session_id AND t.turn_index < (SELECT next_turn_index FROM session)
            AND t.turn_index >= (SELECT next_turn_index FROM session) - :b_history_turns
            AND t.status NOT IN ('accepted', 'running')
        ORDER BY t.turn_index DESC
        LIMIT :b_history_turns
    ) newest
) AS history,
-- The newest summary. Older ones are looked at only if the last turns have none: the planner would sort them all.
coalesce((
    SELECT row_to_json(latest) FROM (
        SELECT through_turn_index, text, key_facts, decisions, open_questions, action_items, (
            SELECT json_agg(archived ORDER BY through_turn_index) FROM summaries
            WHERE session_id = :b_session_id AND through_turn_index < (SELECT next_turn_index FROM session)
                AND through_turn_index >= (SELECT next_turn_index FROM session) - :b_history_turns
        ) AS "left"
        FROM summaries
        WHERE session_id = :b_session_id AND through_turn_index < (SELECT next_turn_index FROM session)
            AND through_turn_index >= (SELECT next_turn_index FROM session) - :b_history_turns
        ORDER BY through_turn_index DESC
        LIMIT 1
    ) latest
), (
    SELECT row_to_json(older) FROM (
        SELECT through_turn_index, text, key_facts, decisions, open_questions, action_items, NULL AS "left"
        FROM summaries
        WHERE session_id = :b_session_id AND through_turn_index < (SELECT next_turn_index FROM session) - :b_history_turns
        ORDER BY through_turn_index DESC
        LIMIT 1
    ) older
)) AS summary
