"""The sweeper: every minute, in the role for operations."""
