-- part calls
-- The calls of a turn, as the journal has them.
SELECT * FROM llm_calls WHERE turn_id = :b_id ORDER BY step, attempt;
