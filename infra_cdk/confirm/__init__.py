"""Confirm on a real account what no stand-in can: `make confirm STAGE=... URL=... TOKEN=...`.

Each check is a function with a name, what it means, and what to do when it fails. It changes one metric for a few
minutes, and posts turns that cost some cents.
"""
