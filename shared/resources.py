"""Derive the resources of the REST API from the table of routes, for the stack and the local gateway.

A REST API matches the most specific resource and never falls back to a greedy one. So every resource below a greedy
route also answers that route's methods.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.names import Route

ANY: Final = "ANY"
GREEDY: Final = "{proxy+}"

# The routes of each resource: path -> method -> route.
Resources = Mapping[str, Mapping[str, Route]]


def resources(routes: Iterable[Route]) -> Resources:
    """Return every resource of the routes. A resource without methods is only a parent.

    Raises ValueError if two routes have different variables at the same level of a path."""
    routes = list(routes)
    made: dict[str, dict[str, Route]] = {path: {} for route in routes for path in _steps(route.path)}
    for route in routes:
        made[route.path][route.method] = route
    for path in list(made):
        _check(path, made)
        for route in _over(path, routes):
            _answer(path, route, made)
            if not _is_greedy(path) and not _variables(path, made, but=GREEDY):
                below = f"{path}/{GREEDY}"
                _answer(below, route, made)
    return dict(sorted(made.items()))


def _steps(path: str) -> list[str]:
    """Return the path and every parent, without the root unless it is the path."""
    parts = path.strip("/").split("/")
    return [f"/{'/'.join(parts[: count + 1])}" for count in range(len(parts))]


def _over(path: str, routes: Iterable[Route]) -> list[Route]:
    """Return the greedy routes that match `path`, the most specific one first."""
    greedy = [route for route in routes if _is_greedy(route.path) and route.path != path]
    over = [route for route in greedy if path.startswith(_parent(route.path) + "/")]
    return sorted(over, key=lambda route: len(route.path), reverse=True)


def _answer(path: str, route: Route, made: dict[str, dict[str, Route]]) -> None:
    """Add the route to the resource, unless a more specific route answers already."""
    methods = made.setdefault(path, {})
    if ANY not in methods:
        methods.setdefault(route.method, route)


def _check(path: str, made: Mapping[str, Mapping[str, Route]]) -> None:
    variables = _variables(path, made)
    if len(variables) > 1:
        raise ValueError(f"A level has one variable at most, and {path} has {' and '.join(sorted(variables))}.")


def _variables(path: str, made: Mapping[str, Mapping[str, Route]], but: str | None = None) -> set[str]:
    """Return the variable children of a resource."""
    children = {other.rpartition("/")[2] for other in made if _parent(other) == path.rstrip("/") and other != "/"}
    return {child for child in children if child.startswith("{") and child != but}


def _is_greedy(path: str) -> bool:
    return path.endswith("+}")


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
