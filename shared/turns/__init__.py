"""The one use case: accept a turn, ask its agents, publish it. Only this package knows the protocol's order."""
