"""Place cache points in a prompt for Converse.

A cache point caches everything before it. The first follows the system prompt, which stays the same when history
changes. The other two follow the last two user messages. The last ends this prompt, which the next call repeats. The
one before ends the previous prompt, which is read from the cache. Converse takes at most four points.
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

from shared.llm.tokens import estimate_text

_POINT: Final = {"cachePoint": {"type": "default"}}
_NEWEST_PROMPTS: Final = 2


def add_cache_points(converse: dict[str, Any], minimum: int, *, continues: bool) -> None:
    """Add cache points to a written request after at least about `minimum` tokens. `continues`: the next prompt repeats
    this one."""
    places = [converse.get("system", []), *(message["content"] for message in converse["messages"])]
    users = [place for place, message in enumerate(converse["messages"], 1) if message["role"] == "user"]
    wanted = {0, *users[-_NEWEST_PROMPTS:]} if continues else {0}
    sizes = list(accumulate(sum(estimate_text(block["text"]) for block in blocks) for blocks in places))
    for place, (blocks, size) in enumerate(zip(places, sizes, strict=True)):
        if place in wanted and size >= minimum:
            blocks.append(_POINT)


def has_cache_points(converse: Mapping[str, Any]) -> bool:
    places = [converse.get("system", ()), *(message["content"] for message in converse["messages"])]
    return any("cachePoint" in block for blocks in places for block in blocks)
