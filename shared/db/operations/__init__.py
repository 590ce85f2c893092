"""Statements of operations, which work across tenants."""
