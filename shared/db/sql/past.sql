(
    SELECT json_agg(newest ORDER BY newest.turn_index) FROM (
        SELECT t.turn_index, t.message, t.mode, t.fan_out, (
            SELECT json_agg(said ORDER BY said.position) FROM (
                SELECT position, agent_key, name, text FROM public.replies
                -- A deleted session has no text any more.
                WHERE turn_id = t.id AND status = 'completed' AND text IS NOT NULL AND is_heard
            ) said
        ) AS replies
        FROM public.turns t
        -- Indexes have no gaps, so these are all. The planner does not know that, and would sort the whole session.
        WHERE t.session_id = :b_session_id AND t.turn_index < (SELECT next_turn_index FROM session)
            AND t.turn_index >= (SELECT next_turn_index FROM session) - :b_history_turns
            AND t.status NOT IN ('accepted', 'running')
        ORDER BY t.turn_index DESC
        LIMIT :b_history_turns
    ) newest
) AS history,
(
    SELECT row_to_json(summary) FROM (
        SELECT s.through_turn_index, s.text, s.items, s.key_facts, s.decisions, s.open_questions, s.action_items,
               -- A release before 0011 wrote no ids. They continue from the newest summary that has some.
               coalesce(s.last_numbers, (
                   SELECT older.last_numbers FROM public.summaries older
                   WHERE older.session_id = s.session_id AND older.through_turn_index < s.through_turn_index
                       AND older.last_numbers IS NOT NULL
                   ORDER BY older.through_turn_index DESC
                   LIMIT 1
               )) AS last_numbers
        -- Read older summaries only if the last turns have none, because the planner would read them all.
        FROM (
            (
                SELECT * FROM public.summaries
                WHERE session_id = :b_session_id AND through_turn_index < (SELECT next_turn_index FROM session)
                    AND through_turn_index >= (SELECT next_turn_index FROM session) - :b_history_turns
                ORDER BY through_turn_index DESC
                LIMIT 1
            ) UNION ALL (
                SELECT * FROM public.summaries
                WHERE session_id = :b_session_id
                    AND through_turn_index < (SELECT next_turn_index FROM session) - :b_history_turns
                ORDER BY through_turn_index DESC
                LIMIT 1
            )
            LIMIT 1
        ) s
    ) summary
) AS summary
