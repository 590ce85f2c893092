"""Page through lists by keyset: a page starts after the last key of the page before."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from shared.db.engine import Row
from shared.errors import InvalidRequest

Order = Literal["asc", "desc"]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`limit` is 1 to 100 items. `cursor` is the `next_cursor` of the page before."""

    limit: int = 20
    cursor: str | None = None
    order: Order = "desc"

    def after(self, parse: Callable[[Any], Key]) -> Key | None:
        """Return the key to go on after, None for the first page. Raises InvalidRequest for a cursor of another
        list."""
        if self.cursor is None:
            return None
        try:
            return parse(json.loads(base64.b64decode(self.cursor.encode("ascii"), altchars=b"-_", validate=True)))
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
            raise InvalidRequest(
                "The cursor is not from this list. Use next_cursor of the page before, or leave it out."
            ) from error


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Row]
    next_cursor: str | None


def page(rows: Sequence[Row], request: PageRequest, key: Callable[[Row], object]) -> Page:
    """Cut `rows`, which hold one more than the limit if there is a next page, and set the next cursor."""
    items = rows[: request.limit]
    if len(rows) <= request.limit:
        return Page(items, None)
    return Page(items, encode_cursor(key(items[-1])))


def as_index(key: object) -> int:
    """Check a turn index from a cursor against its column's range."""
    if type(key) is not int or not 0 <= key < 2**31:
        raise ValueError(key)
    return key


def as_time_and_key(key: Any) -> tuple[datetime, str]:
    """Read the creation time and key of an agent or a council from a cursor."""
    created_at, name = key
    if not (isinstance(name, str) and name.isascii() and name.isprintable()):
        raise ValueError(name)
    return datetime.fromisoformat(created_at), name


def encode_cursor(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode("ascii")
