-- Load the checkpoint that a session keeps of its graph, in the form of LangGraph's own query.

-- part checkpoint
SELECT c.thread_id, c.checkpoint, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.metadata,
    (
        SELECT jsonb_agg(jsonb_build_array(b.channel, b.type, encode(b.blob, 'base64')))
        FROM public.checkpoint_blobs b
        WHERE b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
            AND b.version = c.checkpoint -> 'channel_versions' ->> b.channel
    ) AS blobs
FROM public.checkpoints c
WHERE c.thread_id = :g_thread_id AND c.checkpoint_ns = ''
ORDER BY c.checkpoint_id DESC
LIMIT 1;
