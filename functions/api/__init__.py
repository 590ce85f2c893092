"""Everything but turns being posted: sessions, agents, history, health. Never loads what asks a model."""
