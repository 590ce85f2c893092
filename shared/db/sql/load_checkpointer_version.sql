-- part version
SELECT max(v) AS version FROM public.checkpoint_migrations;
