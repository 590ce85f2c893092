"""Runs turns in mode `graph:<name>`. Only this package imports LangGraph, which is an optional extra."""
