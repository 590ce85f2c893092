"""The same turn by what people would use instead, each in an environment of its own: `make bench-peers`."""
