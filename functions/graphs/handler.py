"""Lambda entry point of the graphs function: each SQS message names a turn whose mode is a graph."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    raise NotImplementedError
