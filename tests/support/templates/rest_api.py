"""The REST API of a template, and how API Gateway finds the method for a request; beside it, what the table of routes
says about the same request."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.names import ROUTES, Route
from tests.support.templates.template import Properties, Template, text


@dataclass(frozen=True)
class Found:
    """Holds the function that answers a request, and whether it needs no token."""

    function: str
    is_open: bool


@dataclass
class Node:
    """A resource. `methods` are by HTTP method, `children` by path part."""

    path: str
    methods: dict[str, Properties] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)

    def all(self) -> Iterator["Node"]:
        yield self
        for child in self.children.values():
            yield from child.all()


def tree(template: Template) -> Node:
    """The root resource with everything below it."""
    (api,) = template.resources("AWS::ApiGateway::RestApi")
    made = template.resources("AWS::ApiGateway::Resource")
    nodes = {f"<{api}.RootResourceId>": Node("/")}

    def node(id_: str) -> Node:
        if id_ not in nodes:
            resource = made[id_.strip("<>")]
            parent = node(text(resource["ParentId"]))
            part = resource["PathPart"]
            nodes[id_] = parent.children[part] = Node(f"{parent.path.rstrip('/')}/{part}")
        return nodes[id_]

    for id_ in made:
        node(f"<{id_}>")
    for method in template.resources("AWS::ApiGateway::Method").values():
        node(text(method["ResourceId"])).methods[method["HttpMethod"]] = method
    return nodes[f"<{api}.RootResourceId>"]


def answered(root: Node, method: str, path: str) -> Found | None:
    """As API Gateway answers: it takes the most specific resource and never another one."""
    node = root
    for part in filter(None, path.split("/")):
        if node.path.endswith("+}"):
            break
        variable = next((child for name, child in node.children.items() if name.startswith("{")), None)
        below = node.children.get(part, variable)
        if below is None:
            return None
        node = below
    found = node.methods.get(method) or node.methods.get("ANY")
    return None if found is None else _found(found)


def expected(method: str, path: str) -> Found | None:
    """As the table says: of the routes that match path and method, the one with the most specific path."""
    matching = [route for route in ROUTES if route.method in (method, "ANY") and _matches(route, path)]
    if not matching:
        return None
    route = min(matching, key=lambda route: (_generality(route), route.method == "ANY"))
    return Found(route.function, route.is_open)


def function_of(method: Properties) -> str:
    """The name of the function behind a method."""
    uri = text(method["Integration"]["Uri"])
    match = re.search(r"functions/<(\w+?)Alias\w{8}>/(response-streaming-)?invocations$", uri)
    assert match
    return match[1].lower()


def _found(method: Properties) -> Found:
    return Found(function_of(method), method["AuthorizationType"] == "NONE")


def _matches(route: Route, path: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\+\\\}", ".+", re.escape(route.path))
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", pattern), path) is not None


def _generality(route: Route) -> list[Any]:
    """From left to right: text before a variable, a variable before a greedy one."""
    return [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in route.path.split("/")]
