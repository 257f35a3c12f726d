"""The line of a method's docstring that says what a posterior sample costs:

    NFE: <expression> forward, <expression> backward per sample

An expression is arithmetic over the method's fields and properties, `s` (samples per measurement), `decode_nfe` and
`sample_nfe` (rows through the network per decoded row and per prior draw), with min, max, ceil, floor, comparisons and
`a if b else c`. The line stands in the docstring of the class or of the module and may wrap; `NFE: at most ...` is for
costs that depend on y. What training costs is metered and stored beside it, and is not part of the line.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SYNTAX = "NFE: <expression> forward, <expression> backward per sample"
_LINE = re.compile(r"\bNFE:\s+(at most\s+)?(.+?)\s+forward,\s+(.+?)\s+backward\s+per\s+sample", re.DOTALL)
_FUNCTIONS = {"min": min, "max": max, "ceil": math.ceil, "floor": math.floor}
_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What a docstring says of the rows through the network per posterior sample."""

    forward: str
    backward: str
    at_most: bool

    def holds(self, measured: tuple[float, float], claimed: tuple[float, float]) -> bool:
        """Whether metered NFE are what was claimed; counts are exact, so only rounding is allowed for."""
        if self.at_most:
            return all(a <= b * (1 + 1e-9) for a, b in zip(measured, claimed, strict=True))
        return all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(measured, claimed, strict=True))


def find_claim(*docstrings: str | None) -> Claim | None:
    """The first NFE line in the docstrings."""
    for text in docstrings:
        if match := _LINE.search(text or ""):
            at_most, forward, backward = match.groups()
            return Claim(" ".join(forward.split()), " ".join(backward.split()), bool(at_most))
    return None


def evaluate(expression: str, names: Mapping[str, object]) -> float:
    """The value of an arithmetic expression over `names`; ValueError in words for anything else."""
    try:
        return float(_value(ast.parse(expression.strip("`"), mode="eval").body, names))
    except SyntaxError:
        raise ValueError(f"`{expression}` is not an expression") from None
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"`{expression}`: {error}") from None


def _value(node: ast.expr, names: Mapping[str, object]) -> object:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str)):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(argument, names) for argument in arguments))
    raise ValueError(f"`{ast.unparse(node)}` is neither arithmetic nor one of {', '.join(sorted(names))}")
