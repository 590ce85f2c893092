"""Checks the English of pages, docstrings, comments and the OpenAPI document, and the subjects of commits."""
