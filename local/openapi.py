"""The one OpenAPI document, made from all HTTP functions and committed where the API function serves it.

python -m local.openapi           write it
python -m local.openapi --check   fail where it is not what the functions say
"""

import json
import sys
from typing import Any

from fastapi.openapi.utils import get_openapi

from functions.admin.app import app as admin
from functions.api.app import app as api
from functions.api.status import OPENAPI
from functions.turns.handler import app as turns
from shared.names import API_PREFIX, VERSION

_OPEN = (f"{API_PREFIX}/health",)


def document() -> dict[str, Any]:
    """The contract of every function as OpenAPI 3.1."""
    routes = [*api.routes, *turns.routes, *admin.routes]
    described = get_openapi(title="Pantheon", version=VERSION, description=_DESCRIPTION, routes=routes)
    described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _OPEN else [{"token": []}]
    return described


_DESCRIPTION = (
    "A council of LLM agents. Errors are application/problem+json with a stable `code`; what the gateway itself "
    'refuses (401, 413, 429, 503) is `{"message": "..."}`. Times are RFC 3339 in UTC, money is a decimal string in USD.'
)


def main() -> int:
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        OPENAPI.write_text(text)
        return 0
    if OPENAPI.read_text() != text:
        print("The committed OpenAPI document is not what the functions serve: run `make openapi-write`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
