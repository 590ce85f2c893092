"""Tests the checks of `make confirm`."""
