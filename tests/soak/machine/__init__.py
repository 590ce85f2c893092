"""A machine that does whatever clients, workers, providers and accidents can do to one deployment, in any order, beside
a model that says what must come of it."""
