"""Reads the titles, summaries and descriptions of the OpenAPI document."""

import json
import re
from collections.abc import Iterator

from tests.prose.markdown import read as markdown
from tests.prose.passage import Kind, Passage

# The document has one key a line, so that the line of a text is known.
_TEXT = re.compile(r'^\s*"(?:summary|description)": (?P<text>".*?")(?:,|)$')


def read(text: str) -> Iterator[Passage]:
    """Yield each paragraph, at the line of its key."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TEXT.match(line):
            for passage in markdown(json.loads(match["text"])):
                prose = passage.text.replace("\n", " ")
                yield Passage(Kind.CONTRACT, number, prose, passage.heading)
