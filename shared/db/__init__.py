"""Postgres: one connection per process, statements compiled once, one tenant per transaction."""
