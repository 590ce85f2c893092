"""Reads a synthesised template for tests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Properties = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy. `owner` is the policy's logical id."""

    owner: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A stage's template as CloudFormation gets it."""

    body: dict[str, Any]

    def resources(self, kind: str) -> dict[str, Properties]:
        """Properties by logical id."""
        return {id_: body.get("Properties", {}) for id_, body in self.all(kind).items()}

    def all(self, kind: str) -> dict[str, Properties]:
        """Resources by logical id, with what is beside their properties."""
        return {id_: body for id_, body in self.body["Resources"].items() if body["Type"] == kind}

    def one(self, kind: str) -> Properties:
        (properties,) = self.resources(kind).values()
        return properties

    def functions(self) -> dict[str, Properties]:
        """Pantheon's own functions, by their names in the table; the CDK brings others."""
        found = self.resources("AWS::Lambda::Function").values()
        named = {text(function.get("FunctionName", "")): function for function in found}
        return {name.rpartition("-")[2]: function for name, function in named.items() if name.startswith("pantheon-")}

    def statements(self, kind: str = "AWS::IAM::Policy") -> Iterator[Statement]:
        for owner, policy in self.resources(kind).items():
            for one in policy["PolicyDocument"]["Statement"]:
                yield Statement(
                    owner=re.sub(r"(DefaultPolicy|Policy)[0-9A-F]{8}$", "", owner),
                    effect=one["Effect"],
                    actions=tuple(listed(one["Action"])),
                    resources=tuple(map(text, listed(one.get("Resource", [])))),
                    conditions=one.get("Condition", {}),
                )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A value with what is only known on AWS as `<LogicalId>` or `<LogicalId.Attribute>`."""
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(text, parts))
        case {"Fn::Select": [index, {"Fn::Split": [separator, whole]}]}:
            return f"<{text(whole)}|{separator}{index}>"
        case dict():
            raise AssertionError(f"Nobody has said how to read {value}")
    return str(value)
