"""Invariants of text: the journal, deleted sessions and plain calls keep none."""

from collections.abc import Mapping
from types import MappingProxyType

OF_TEXT: Mapping[str, str] = MappingProxyType(
    {
        "the text of a posted call has left the journal": """
            SELECT call_id FROM public.llm_calls WHERE posted_at IS NOT NULL AND has_output AND turn_id >= {since}""",
        "of a deleted session no text is left once its turns have ended": """
            SELECT s.id
            FROM public.sessions s
            WHERE s.deleted_at >= coalesce(uuid_extract_timestamp({since}), '-infinity') AND (
                s.has_title
                OR s.has_chat_text
                OR EXISTS (SELECT FROM public.summaries m WHERE m.session_id = s.id)
                OR EXISTS (SELECT FROM public.conversations c WHERE c.session_id = s.id)
                OR EXISTS (SELECT FROM public.checkpoints c WHERE c.thread_id = s.tenant_id || ':' || s.id)
                OR EXISTS (SELECT FROM public.checkpoint_blobs b WHERE b.thread_id = s.tenant_id || ':' || s.id)
                OR EXISTS (SELECT FROM public.checkpoint_writes w WHERE w.thread_id = s.tenant_id || ':' || s.id)
                OR EXISTS (
                    SELECT FROM public.turns t
                    WHERE t.session_id = s.id AND (t.deleted_at IS NULL OR t.status NOT IN ('accepted', 'running') AND (
                        t.has_text
                        OR t.has_options
                        OR t.has_hashes
                        OR EXISTS (SELECT FROM public.replies r WHERE r.turn_id = t.id AND r.has_text)
                        OR EXISTS (
                            SELECT FROM public.llm_calls c
                            WHERE c.turn_id = t.id AND (c.has_provider_message OR c.has_thinking)
                        )
                    ))
                ))""",
        # Scalar subqueries, because for EXISTS the planner would read and hash all replies and calls.
        "of a plain call no text is left once it has ended": """
            SELECT t.id
            FROM public.turns t
            WHERE t.mode = 'call' AND t.status NOT IN ('accepted', 'running') AND t.id >= {since} AND (
                t.deleted_at IS NULL
                OR t.has_text
                OR t.has_options
                OR t.has_hashes
                OR (SELECT true FROM public.replies r WHERE r.turn_id = t.id AND r.has_text LIMIT 1)
                OR (
                    SELECT true FROM public.llm_calls c
                    WHERE c.turn_id = t.id AND (c.has_output OR c.has_provider_message OR c.has_thinking)
                    LIMIT 1
                ))""",
    }
)
