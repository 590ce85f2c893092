-- part instructed
-- Keep the newest system messages of a chat program's session.
UPDATE public.sessions SET instructions = :b_instructions
WHERE id = :b_id AND deleted_at IS NULL AND instructions IS DISTINCT FROM :b_instructions;
