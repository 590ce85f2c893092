"""Lists by keyset: a page is found by the last key of the page before, never by counting rows."""

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
    """`limit` is 1 to 100 items; `cursor` is what the page before answered as `next_cursor`."""

    limit: int = 20
    cursor: str | None = None
    order: Order = "desc"

    def after(self, parse: Callable[[Any], Key]) -> Key | None:
        """The key to go on after, or None for the first page. Raises InvalidRequest for a cursor of another make."""
        if self.cursor is None:
            return None
        try:
            return parse(json.loads(base64.b64decode(self.cursor.encode("ascii"), altchars=b"-_", validate=True)))
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
            raise InvalidRequest("The cursor is not one that this list gave out.") from error


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Row]
    next_cursor: str | None


def page(rows: Sequence[Row], request: PageRequest, key: Callable[[Row], object]) -> Page:
    """Cut `rows`, which hold one more than asked for when there is more, and name the key of the last one shown."""
    items = rows[: request.limit]
    if len(rows) <= request.limit:
        return Page(items, None)
    return Page(items, encode_cursor(key(items[-1])))


def as_index(key: object) -> int:
    """A turn index as a cursor holds it, and as its column can."""
    if type(key) is not int or not 0 <= key < 2**31:
        raise ValueError(key)
    return key


def as_time_and_key(key: Any) -> tuple[datetime, str]:
    """When an agent or a council was made, and its key, as a cursor holds them."""
    created_at, name = key
    if not (isinstance(name, str) and name.isascii() and name.isprintable()):
        raise ValueError(name)
    return datetime.fromisoformat(created_at), name


def encode_cursor(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode("ascii")
