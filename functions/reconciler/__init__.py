"""The function that settles calls in suspense every hour, as `pantheon_ops`."""
