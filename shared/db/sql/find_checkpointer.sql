-- The version of the checkpointer's tables, without a row if they are missing. The names are looked up first, because a
-- query of a missing table fails.

-- part tables
SELECT bool_and(to_regclass('public.' || name) IS NOT NULL) AS exist
FROM unnest(ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'checkpoint_migrations']) name;
