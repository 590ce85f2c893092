"""Periodic work over all tenants, in the role for operations."""
