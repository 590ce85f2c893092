"""The function that recovers turns and emits gauges every minute, as `pantheon_ops`."""
