-- Scalar subqueries, because for EXISTS the planner would read and hash all calls.
CASE h.reason
    WHEN 'suspense' THEN (SELECT c.status <> 'unknown' FROM public.llm_calls c WHERE c.call_id = h.id)
    WHEN 'accepted' THEN (
        SELECT t.status NOT IN ('accepted', 'running') OR coalesce((
            SELECT true FROM public.llm_calls c
            WHERE c.turn_id = t.id AND c.purpose = 'agent' AND c.period = h.period
            LIMIT 1
        ), false)
        FROM public.turns t WHERE t.id = h.id
    )
END
