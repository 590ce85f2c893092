-- Whether the checkpointer's tables exist. A query of a missing table would fail.

-- part tables
SELECT bool_and(to_regclass('public.' || name) IS NOT NULL) AS exist
FROM unnest(ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'checkpoint_migrations']) name;
