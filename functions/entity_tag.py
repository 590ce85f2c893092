"""Entity tags by RFC 9110: a version in quotes, which `ETag` shows and `If-Match` names."""

import re
from collections.abc import Sequence
from typing import Final

from shared.errors import InvalidRequest

_TAG: Final = r'(W/)?"([\x21\x23-\x7e]*)"'
_TAGS: Final = re.compile(rf"[ \t]*{_TAG}[ \t]*(,[ \t]*{_TAG}[ \t]*)*", re.ASCII)


def entity_tag(version: int) -> str:
    return f'"{version}"'


def read_if_match(written: str) -> Sequence[str]:
    """The versions that `If-Match` names, '*' for any. A weak tag matches nothing, as the RFC says. Raises
    InvalidRequest."""
    if written.strip() == "*":
        return ["*"]
    if not _TAGS.fullmatch(written):
        raise InvalidRequest('header.if-match must be a version in quotes, such as "3", or *.')
    # In quotes, the star is no wildcard, and no version.
    return [tag for weak, tag in re.findall(_TAG, written) if not weak and tag != "*"]
