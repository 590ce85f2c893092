"""Makes rosters for tests: the fields of entries, and files that name them."""

from pathlib import Path
from typing import Any

AGENT = {
    "name": "Writer",
    "role_prompt": "You write.",
    "model_alias": "fast",
    "max_output_tokens": None,
    "temperature": None,
    "enabled": True,
}
COUNCIL = {
    "name": "Board",
    "mode": "council",
    "agent_keys": ["writer", "critic"],
    "fan_out": "sequential",
    "chair_key": None,
}


def agent(**changes: Any) -> dict[str, Any]:
    return {**AGENT, **changes}


def council(**changes: Any) -> dict[str, Any]:
    return {**COUNCIL, **changes}


def roster_file(folder: Path, text: str) -> Path:
    path = folder / "roster.toml"
    path.write_text(text)
    return path
