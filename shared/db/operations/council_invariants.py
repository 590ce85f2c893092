"""Invariants of turns in mode `council`: the reply that later turns see, and the reviews. See invariants.py for
`{since}`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

OF_COUNCIL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "later turns see the one reply that concludes": """
            SELECT t.id, count(r.turn_id) AS heard
            FROM public.turns t LEFT JOIN public.replies r ON r.turn_id = t.id AND r.is_heard
            WHERE t.mode = 'council' AND t.status = 'completed' AND t.deleted_at IS NULL AND t.id >= {since}
            GROUP BY t.id
            HAVING count(r.turn_id) <> 1""",
        # Giving up a turn may remove the verdict from its answers, and then sets this error.
        "only members of a council that answered review, once each": """
            SELECT c.turn_id, c.step
            FROM public.llm_calls c JOIN public.turns t ON t.id = c.turn_id
            WHERE c.purpose = 'review' AND t.id >= {since} AND c.turn_id >= {since} AND NOT EXISTS (
                SELECT FROM public.llm_calls a
                WHERE a.turn_id = c.turn_id AND a.purpose = 'agent'
                    AND (a.verdict = 'reply' OR a.error_code = 'turn_abandoned')
                    AND a.agent_key = c.agent_key
                    AND a.step = c.step - jsonb_array_length(t.plan -> 'selected_agent_keys')
                    AND a.step < jsonb_array_length(t.plan -> 'selected_agent_keys') - 1
            )""",
    }
)
