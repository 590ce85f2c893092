"""Reads and writes of the API and the operator, outside of the turn protocol."""
