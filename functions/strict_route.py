"""Routes that refuse undeclared query parameters, so that a misspelt one is never ignored."""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

# The unknown parameters of this request.
_unknown: ContextVar[tuple[str, ...]] = ContextVar("unknown", default=())


class StrictRoute(APIRoute):
    """A route that answers 422 with the unknown query parameters, after the checks for 401, 403 and 404."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _refusing(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, declared = super().get_route_handler(), _declared(self.dependant)

        async def handle_known(request: Request) -> Response:
            _unknown.set(tuple(name for name in request.query_params if name not in declared))
            return await handle(request)

        return handle_known


def _refusing(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the endpoint so that it refuses unknown parameters after the checks of roles, path and body."""

    @wraps(endpoint)
    async def refuse_or_answer(**values: Any) -> Any:
        if unknown := _unknown.get():
            raise RequestValidationError([_fault(name) for name in unknown])
        return await endpoint(**values)

    return refuse_or_answer


def _fault(name: str) -> dict[str, object]:
    message = "This call has no such query parameter"
    return {"type": "unknown_parameter", "loc": ("query", name), "msg": message, "input": None}


def _declared(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters of a route and of its dependencies."""
    own = (field.alias for field in dependant.query_params)
    return frozenset(own).union(*map(_declared, dependant.dependencies))
