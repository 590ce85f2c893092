"""The function that runs turns in mode `graph:<name>`. Only this package imports LangGraph, an optional extra."""
