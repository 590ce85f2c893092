"""Write and read entity tags by RFC 9110: a version in quotes, in `ETag` and `If-Match`."""

import re
from collections.abc import Sequence
from typing import Final

from shared.errors import InvalidRequest

_TAG: Final = r'(W/)?"([\x21\x23-\x7e]*)"'
_TAGS: Final = re.compile(rf"[ \t]*{_TAG}[ \t]*(,[ \t]*{_TAG}[ \t]*)*", re.ASCII)


def entity_tag(version: int) -> str:
    return f'"{version}"'


def read_if_match(written: str) -> Sequence[str]:
    """Return the versions that `If-Match` names, '*' for any. Raises InvalidRequest.

    A weak tag matches nothing, by the RFC."""
    if written.strip() == "*":
        return ["*"]
    if not _TAGS.fullmatch(written):
        raise InvalidRequest('header.if-match must be a version in quotes, such as "3", or *.')
    # A star in quotes is no wildcard and no version.
    return [tag for weak, tag in re.findall(_TAG, written) if not weak and tag != "*"]
