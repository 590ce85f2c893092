"""Posting a turn: the one HTTP function that asks models."""
