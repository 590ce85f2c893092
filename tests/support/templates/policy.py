"""Evaluate policies of a template as AWS does: an explicit deny, or else an allow, or else a refusal.

Raises for a condition that it does not know, so that none is taken for fulfilled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.support.templates.template import listed, text

Policy = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Asked:
    """One request of authorisation. `context` are condition keys, without case."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allowed(policy: Policy, asked: Asked) -> bool:
    effects = {statement["Effect"] for statement in policy if _covers(statement, asked)}
    return effects == {"Allow"}


def _covers(statement: Mapping[str, Any], asked: Asked) -> bool:
    unknown = set(statement) - {"Action", "Condition", "Effect", "Principal", "Resource", "Sid"}
    if unknown:
        raise ValueError(f"{unknown} cannot be evaluated")
    actions = [str(action).lower() for action in listed(statement["Action"])]
    resources = [text(resource) for resource in listed(statement["Resource"])]
    return (
        any(_like(asked.action.lower(), action) for action in actions)
        and any(_like(asked.resource, resource) for resource in resources)
        and all(_holds(operator, keys, asked) for operator, keys in statement.get("Condition", {}).items())
    )


def _holds(operator: str, keys: Mapping[str, Any], asked: Asked) -> bool:
    """All keys of an operator, and one of a key's values. A key that the request does not have holds for none."""
    if operator not in _OPERATORS:
        raise ValueError(f"{operator} cannot be evaluated")
    context = {name.lower(): value for name, value in asked.context.items()}
    compare = _OPERATORS[operator]
    return all(
        key.lower() in context and any(compare(context[key.lower()], text(value)) for value in listed(values))
        for key, values in keys.items()
    )


def _like(value: str, pattern: str) -> bool:
    # AWS knows no [...] in a pattern.
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _equal(value: str, expected: str) -> bool:
    return value == expected


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "ArnEquals": _like,
    "ArnLike": _like,
    "StringEquals": _equal,
    "StringLike": _like,
}
