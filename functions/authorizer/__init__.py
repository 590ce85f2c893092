"""The function that identifies the caller of every route."""
