-- Remove the session of a chat program whose first turn was refused.

-- part marked
UPDATE public.sessions SET deleted_at = clock_timestamp(), title = '', imported = NULL, instructions = NULL
WHERE id = :b_id AND next_turn_index = 1 AND deleted_at IS NULL AND origin <> 'api';

-- part named ? b_replaced_id
-- The conversation's name means again what it meant before.
UPDATE public.conversations SET session_id = :b_replaced_id
WHERE user_id = :b_user_id AND name = :b_name AND session_id = :b_id AND EXISTS (
    SELECT FROM public.sessions WHERE id = :b_id AND xmin = pg_current_xact_id()::xid
);

-- part removed
DELETE FROM public.sessions WHERE id = :b_id AND next_turn_index = 1 AND deleted_at IS NOT NULL;
