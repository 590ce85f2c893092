"""The route table, matched as API Gateway matches it: a full path before a greedy one, and `$default` last.

The rule this file protects: whatever is under the API's prefix and not listed as open needs a token.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from shared.names import API_PREFIX


@dataclass(frozen=True)
class Route:
    """`key` is API Gateway's route key: "METHOD /path/{name}", "ANY /path/{name+}" or "$default"."""

    key: str
    function: str
    authorised: bool

    @cached_property
    def _method(self) -> str:
        return self.key.partition(" ")[0]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        template = self.key.partition(" ")[2]
        parts = re.split(r"\{(\w+\+?)\}", template)
        literals = [re.escape(part) for part in parts[::2]]
        names = [f"(?P<{n[:-1]}>.+)" if n.endswith("+") else f"(?P<{n}>[^/]+)" for n in parts[1::2]]
        return re.compile("".join(a + b for a, b in zip(literals, [*names, ""], strict=True)), re.DOTALL)

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path's parameters, or None when this route does not apply."""
        if self.key == "$default":
            return {}
        if self._method not in ("ANY", method):
            return None
        found = self._pattern.fullmatch(path)
        return found.groupdict() if found else None


# In the order in which they are tried.
ROUTES: Final = (
    Route(f"POST {API_PREFIX}/sessions/{{session_id}}/turns", "turns", authorised=True),
    Route(f"GET {API_PREFIX}/health", "api", authorised=False),
    Route("GET /openapi.json", "api", authorised=False),
    Route(f"GET {API_PREFIX}/openapi.json", "api", authorised=False),
    Route(f"ANY {API_PREFIX}/admin/{{proxy+}}", "admin", authorised=True),
    Route(f"ANY {API_PREFIX}/{{proxy+}}", "api", authorised=True),
    Route("$default", "api", authorised=False),
)


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and the parameters in its path. `path` is decoded. There always is one."""
    for route in ROUTES:
        parameters = route.match(method, path)
        if parameters is not None:
            return route, parameters
    raise AssertionError("$default matches everything")
