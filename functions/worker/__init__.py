"""The function that runs turns from the queue: handed over, posted with `respond-async`, or of a dead process."""
