"""Agents and councils as API bodies and in roster files."""
