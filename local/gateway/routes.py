"""Match a request to a resource as a REST API does: segment by segment, without backtracking."""

from typing import Final

from shared.names import ROUTES, Route
from shared.resources import ANY, GREEDY, resources

_RESOURCES: Final = resources(ROUTES)
# The variable below each resource that has one.
_VARIABLES: Final = {
    parent: segment for parent, _, segment in (path.rpartition("/") for path in _RESOURCES) if segment.startswith("{")
}


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Find the route of a request, and the parameters in its path.

    Args:
        method: HTTP's method.
        path: The path as the client sent it, percent-encoded. A REST API ignores slashes at its end.

    Returns:
        The route, whose path is the resource's, and the parameters, percent-encoded. None when there is no such route.
    """
    resource, parameters = "", dict[str, str]()
    before, *segments = path.rstrip("/").split("/")
    if before:
        return None
    for index, segment in enumerate(segments):
        static, variable = f"{resource}/{segment}", _VARIABLES.get(resource)
        if static in _RESOURCES and not segment.startswith("{"):
            resource = static
            continue
        if variable is None or not (segment or variable == GREEDY):
            return None
        resource = f"{resource}/{variable}"
        if variable == GREEDY:
            parameters["proxy"] = "/".join(segments[index:])
            break
        parameters[variable.strip("{}")] = segment
    methods = _RESOURCES.get(resource or "/", {})
    route = methods.get(method) or methods.get(ANY)
    return (route._replace(path=resource or "/"), parameters) if route else None
