"""Frozen values that the whole core speaks in. They know no database, no provider and no HTTP."""
