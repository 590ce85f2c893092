"""Frozen values that the whole core uses, without database, provider or HTTP."""
