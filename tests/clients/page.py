"""Reads the code blocks of docs/clients.md for the tests."""

import re
from pathlib import Path
from typing import Final

PAGE: Final = (Path(__file__).parents[2] / "docs/clients.md").read_text()
ADDRESS: Final = "http://127.0.0.1:8000"
TOKEN: Final = "eyJ…"


def block(section: str, language: str) -> str:
    """The only block of this language in a section."""
    (text,) = re.findall(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(code)
