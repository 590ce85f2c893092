"""What is broken on purpose: small edits of a module's text, each of which some test must notice.

An edit replaces a span of the source, so that everything else of the file stays as it is. What is left alone changes
nothing that a test could hold: annotations, decorators, docstrings, the wording of errors, and logging.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_CALCULATED = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.BitAnd: "|", ast.BitOr: "&",
}  # fmt: skip
# Calls of a chain without which the rest still means something.
_LINKS = frozenset(
    [
        "where",
        "with_for_update",
        "order_by",
        "group_by",
        "having",
        "limit",
        "add_cte",
        "on_conflict_do_update",
        "returning",
        "union_all",
        "filter",
        "is_not",
        "label",
    ]
)
# Calls that take as many arguments as one likes.
_LISTS = frozenset(
    [
        "where",
        "and_",
        "or_",
        "coalesce",
        "greatest",
        "least",
        "add_cte",
        "returning",
        "min",
        "max",
        "having",
        "order_by",
        "group_by",
        "case",
        "select",
        "exists",
    ]
)
_NAME = re.compile(r"[a-z_:']+\Z")


@dataclass(frozen=True)
class Edit:
    """`after` instead of the bytes from `start` to `end`."""

    operator: str
    start: int
    end: int
    after: str


class Source:
    """A module's text, and where its nodes are in it, in bytes."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.expr | ast.stmt) -> str:
        return self.text[self.start(node) : self.end(node)].decode()

    def line(self, offset: int) -> str:
        """The line around an offset, without its indentation."""
        begin = self.text.rfind(b"\n", 0, offset) + 1
        return self.text[begin : self.text.find(b"\n", offset)].decode().strip()

    def replaced(self, operator: str, node: ast.expr | ast.stmt, after: str) -> Edit:
        return Edit(operator, self.start(node), self.end(node), after)

    def dropped(self, operator: str, node: ast.expr, *, begin: int | None = None) -> Edit:
        """Without one of several that are separated by commas."""
        start, end = self.start(node) if begin is None else begin, self.end(node)
        after = re.match(rb"\s*,", self.text[end:])
        if after:
            return Edit(operator, start, end + after.end(), "")
        before = re.search(rb",\s*\Z", self.text[:start])
        return Edit(operator, before.start() if before else start, end, "")


def edits(node: ast.AST, source: Source) -> Iterator[Edit]:
    """The edits whose root is this node."""
    match node:
        case ast.stmt():
            yield from _statement(node, source)
        case ast.Call():
            yield from _call(node, source)
        case ast.Constant(value=value):
            yield from _constant(node, value, source)
        case ast.Tuple(elts=elements, ctx=ast.Load()) | ast.List(elts=elements, ctx=ast.Load()):
            for element in elements:
                yield source.dropped("element", element)
        case ast.Dict():
            for key, entry in zip(node.keys, node.values, strict=True):
                yield source.dropped("entry", entry, begin=source.start(key) if key else source.start(entry) - 2)
        case ast.comprehension(ifs=[condition]):
            yield source.replaced("always", condition, "True")
        case _:
            yield from _calculation(node, source)


def _calculation(node: ast.AST, source: Source) -> Iterator[Edit]:
    match node:
        case ast.Compare(ops=[operation], comparators=[right]) if type(operation) in _COMPARED:
            flipped = f"{source.of(node.left)} {_COMPARED[type(operation)]} {source.of(right)}"
            yield source.replaced("compare", node, flipped)
        case ast.BoolOp(values=values):
            other = " or " if isinstance(node.op, ast.And) else " and "
            yield source.replaced("boolean", node, f"({other.join(f'({source.of(value)})' for value in values)})")
            for kept in values:
                yield source.replaced("one side", node, f"({source.of(kept)})")
        case ast.UnaryOp(operand=operand) if not isinstance(operand, ast.Constant):
            yield source.replaced("sign", node, f"({source.of(operand)})")
        case ast.BinOp(left=left, op=calculated, right=right) if type(calculated) in _CALCULATED:
            lhs, rhs = source.of(left), source.of(right)
            yield source.replaced("arithmetic", node, f"({lhs}) {_CALCULATED[type(calculated)]} ({rhs})")
            if isinstance(calculated, ast.BitAnd | ast.BitOr):
                yield source.replaced("one side", node, f"({lhs})")
                yield source.replaced("one side", node, f"({rhs})")
        case ast.IfExp(body=body, orelse=orelse):
            yield source.replaced("always", node, f"({source.of(body)})")
            yield source.replaced("never", node, f"({source.of(orelse)})")


def _constant(node: ast.Constant, value: object, source: Source) -> Iterator[Edit]:
    if isinstance(value, bool):
        yield source.replaced("constant", node, str(not value))
    elif isinstance(value, int | float):
        yield source.replaced("constant", node, f"({value} + 1)")
        if value:
            yield source.replaced("constant", node, f"({value} - 1)")
    elif isinstance(value, str) and (_NAME.match(value) or not value):
        yield source.replaced("constant", node, f'"{value}_"')


def _call(node: ast.Call, source: Source) -> Iterator[Edit]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if isinstance(node.func, ast.Attribute) and name in _LINKS:
        yield Edit("link", source.end(node.func.value), source.end(node), "")
    if len(node.args) + len(node.keywords) > 1 and name in _LISTS:
        for argument in node.args:
            yield source.dropped("argument", argument)
    if name == "case":
        for argument in node.args:
            if isinstance(argument, ast.Tuple):
                yield source.replaced("always", node, source.of(argument.elts[1]))
    for keyword in node.keywords:
        if keyword.arg:
            begin = source.start(keyword.value) - len(keyword.arg) - 1
            yield source.dropped("argument", keyword.value, begin=begin)
    for left, right in zip(node.args, node.args[1:], strict=False):
        if (
            name not in _LISTS
            and type(left) is type(right)
            and isinstance(left, ast.Attribute | ast.Call | ast.Constant)
        ):
            between = source.text[source.end(left) : source.start(right)].decode()
            swapped = source.of(right) + between + source.of(left)
            yield Edit("swap", source.start(left), source.end(right), swapped)


def _statement(node: ast.stmt, source: Source) -> Iterator[Edit]:
    match node:
        case ast.If(test=test) | ast.While(test=test):
            if not isinstance(test, ast.Constant):
                yield source.replaced("always", test, "True")
                yield source.replaced("never", test, "False")
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield source.replaced("return", node, "return None")
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield source.replaced("statement", node, "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield source.replaced("statement", node, "pass")
        case ast.AugAssign():
            yield source.replaced("statement", node, "pass")
            swapped = {ast.Add: "-=", ast.Sub: "+="}.get(type(node.op))
            if swapped:
                yield source.replaced("arithmetic", node, f"{source.of(node.target)} {swapped} {source.of(node.value)}")
