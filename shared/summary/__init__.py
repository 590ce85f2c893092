"""Summaries: when one is due, how it is written, and how its items are carried forward."""
