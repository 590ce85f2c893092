"""Runs turns in mode `graph:<name>`. Only this package imports LangGraph, which is an optional extra."""

import os

# LangGraph reads it when it is imported: a stored state may only be made of types that LangGraph knows.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
