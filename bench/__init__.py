"""Measurements, as ratios within one run. Nothing here is a test, and nothing depends on it."""
