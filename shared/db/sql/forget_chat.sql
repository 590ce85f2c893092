-- Remove the session of a chat program whose first turn was refused.

-- part marked
UPDATE public.sessions SET deleted_at = clock_timestamp(), title = '', imported = NULL, instructions = NULL
WHERE id = :b_id AND next_turn_index = 1 AND deleted_at IS NULL AND origin <> 'api';

-- part removed
DELETE FROM public.sessions WHERE id = :b_id AND next_turn_index = 1 AND deleted_at IS NOT NULL;
