"""The expressions of the language: `width * expansion`, `stride != 1 or in_channels != out_channels`, `max(8, channels // 16)`.

The value of an expression is an int, a float or a boolean. Python's parser reads the text, but no Python is executed: the
nodes of a whitelist are evaluated here. Length, depth and magnitude are limited, so evaluation is always fast.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Span, closest
from resnet_spec.diagnostics.effort import try_work
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.language.nodes import ScalarNode

Number = int | float | bool
Value = Number | tuple[int, int]  # a pair is the value of a name, and nothing can be computed with it
Lookup = Callable[[str], Value]

MAX_LENGTH = 200
MAX_DEPTH = 20
MAX_MAGNITUDE = 2**31


class ExpressionError(Exception):
    """The reason why an expression has no value. `start` and `stop` are positions in its text; `function` is an unknown one."""

    def __init__(
        self, code: str, message: str, start: int, stop: int, help: str = "", text: str = "", function: str = ""
    ) -> None:
        """`text` is what to write from `start` to `stop` instead, if that is the whole fix."""
        super().__init__(message)
        self.code, self.message, self.start, self.stop = code, message, start, stop
        self.help, self.text, self.function = help, text, function


@dataclass(frozen=True, slots=True)
class Expression:
    """A text that is an expression. `names` are the names in it, in order of appearance, with their positions."""

    text: str
    tree: ast.expr
    names: tuple[tuple[str, int, int], ...]


def make_divisible(value: float, divisor: float, least: float | None = None) -> int:
    """Round `value` to the nearest multiple of `divisor`, but not below `least` or 90% of `value`.

    Source: the MobileNet reference code, as in torchvision's `_make_divisible`.
    """
    nearest = max(divisor if least is None else least, int(value + divisor / 2) // divisor * divisor)
    return int(nearest + divisor if nearest < 0.9 * value else nearest)


_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {  # name: (function, fewest and most arguments)
    "min": (min, 2, 8),
    "max": (max, 2, 8),
    "round": (round, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "floor": (math.floor, 1, 1),
    "log2": (math.log2, 1, 1),
    "make_divisible": (make_divisible, 2, 3),
}
FUNCTION_NAMES = tuple(_FUNCTIONS)
GRAMMAR = (
    "expressions consist of numbers, names, `+ - * / // %`, comparisons, `and or not`, `a if c else b` and the functions "
    + ", ".join(FUNCTION_NAMES)
)
_ARITHMETIC: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NUMBER = re.compile(r"[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+")


IN_BRACES = re.compile(r"\{([^{}]*)\}")


def expressions_in_braces(pattern: ScalarNode) -> list[ScalarNode]:
    """The expressions in the braces of a text such as `block{index + 1}`, each at the place of the whole text."""
    return [ScalarNode(found[1], pattern.span, found[1]) for found in IN_BRACES.finditer(pattern.text)]


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression | ExpressionError:
    """Parse a text. An error is returned, not raised, so that it is cached like a result."""
    if len(text) > MAX_LENGTH:
        return ExpressionError("expression-too-long", f"an expression of more than {MAX_LENGTH} characters", 0, MAX_LENGTH)
    if not text.isascii() or not text.isprintable():
        message = f"`{text}` is not an expression: an expression is one line of ASCII characters"
        help = "names in expressions consist of the letters a to z, digits and underscores"
        return ExpressionError("expression-syntax", message, 0, len(text), help)
    if "#" in text:  # Python's parser would read it as a comment
        return ExpressionError("expression-syntax", f"`{text}` is not an expression", text.index("#"), len(text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _syntax_error(text, error)
    shift = len(text) - len(text.lstrip())
    names: list[tuple[str, int, int]] = []
    try:
        _check(tree, 1, shift, text, names)
    except ExpressionError as error:
        return error
    return Expression(text, tree, tuple(names))


def _syntax_error(text: str, error: Exception) -> ExpressionError:
    start = max(0, (error.offset or 1) - 1) if isinstance(error, SyntaxError) else 0
    start = min(start, max(0, len(text) - 1))
    hint = GRAMMAR
    if text.count("(") > text.count(")"):
        hint = "inside `{...}` a comma ends the value: put the expression in quotes"
    return ExpressionError("expression-syntax", f"`{text}` is not an expression", start, len(text), hint)


def _check(node: ast.expr, depth: int, shift: int, text: str, names: list[tuple[str, int, int]]) -> None:
    """Reject every node that is not part of the language, and collect the names."""
    start, stop = node.col_offset + shift, (node.end_col_offset or 0) + shift

    def refuse(message: str, help: str = "", instead: str = "") -> ExpressionError:
        return ExpressionError("expression-syntax", message, start, stop, help, instead)

    if depth > MAX_DEPTH:
        raise ExpressionError("expression-too-deep", f"an expression nested deeper than {MAX_DEPTH}", start, stop)
    inner: list[ast.expr] = []
    match node:
        case ast.Constant(value=bool(word)):
            meant = str(word).lower()
            raise refuse(f"`{word}` is not a keyword of the language", f"write `{meant}`", meant)
        case ast.Constant(value=int() | float() as number) if _NUMBER.fullmatch(text[start:stop]):
            if abs(number) > MAX_MAGNITUDE:
                raise ExpressionError("expression-too-large", f"{text[start:stop]} is larger than 2^31", start, stop)
        case ast.Name(id="true" | "false"):
            pass
        case ast.Name(id=name):
            names.append((name, start, stop))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            inner = [left, right]
        case ast.BinOp(left=left, op=ast.Pow() | ast.BitXor(), right=right):
            base = text[left.col_offset + shift : (left.end_col_offset or 0) + shift]
            times = right.value if isinstance(right, ast.Constant) and isinstance(right.value, int) else 0
            if 2 <= times <= 4 and isinstance(left, ast.Name | ast.Constant):
                product = " * ".join([base] * times)
                raise refuse("expressions have no power operator", f"multiply instead: `{product}`", product)
            raise refuse("expressions have no power operator", "multiply instead")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            inner = [operand]
        case ast.BoolOp(values=values):
            inner = values
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARISONS for op in ops):
            inner = [left, *rest]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            inner = [test, body, orelse]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name not in _FUNCTIONS:
                raise ExpressionError("unknown-function", f"there is no function `{name}`", start, stop, function=name)
            _, fewest, most = _FUNCTIONS[name]
            if not fewest <= len(args) <= most:
                count = str(fewest) if fewest == most else f"{fewest} to {most}"
                raise refuse(f"`{name}` takes {count} argument{'s' if count != '1' else ''}, not {len(args)}")
            inner = args
        case _:
            written_otherwise = node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None
            help = GRAMMAR if written_otherwise is None else f"write {written_otherwise}"
            instead = "" if written_otherwise is None else str(written_otherwise)
            raise refuse(f"`{text[start:stop]}` is not allowed in an expression", help, instead)
    for child in inner:
        _check(child, depth + 1, shift, text, names)


def evaluate(expression: Expression, lookup: Lookup) -> Value:
    """Evaluate an expression. Only the names that are needed are looked up. Raises ExpressionError."""
    shift = len(expression.text) - len(expression.text.lstrip())
    return _Evaluator(expression.text, shift, lookup).value(expression.tree)


class _Evaluator:
    def __init__(self, text: str, shift: int, lookup: Lookup) -> None:
        self.text, self.shift, self.lookup = text, shift, lookup

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Name(id=name):
                return self.lookup(name) if name not in ("true", "false") else name == "true"
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Compare(left=left, ops=ops, comparators=rest):
                return self.compare(node, left, ops, rest)
            case ast.BoolOp(op=op, values=values):
                stop = isinstance(op, ast.Or)
                return stop if any(self.boolean(value) is stop for value in values) else not stop
            case ast.BinOp(left=left, op=op, right=right):
                return self.arithmetic(node, op, self.number(left), self.number(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.boolean(test) else orelse)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.boolean(operand)
            case ast.UnaryOp(op=op, operand=operand):
                number = self.number(operand)
                return -number if isinstance(op, ast.USub) else number
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(node, name, [self.number(argument) for argument in args])
        raise AssertionError(f"{ast.dump(node)} passed the whitelist")

    def arithmetic(self, node: ast.expr, op: ast.operator, left: Number, right: Number) -> Number:
        if right == 0 and isinstance(op, ast.Div | ast.FloorDiv | ast.Mod):
            help = f"if it can be 0, divide by `max(1, {self.written(node.right)})`" if isinstance(node, ast.BinOp) else ""
            raise self.error("division-by-zero", f"`{self.written(node)}` divides by zero", node, help)
        return self.bounded(_ARITHMETIC[type(op)](left, right), node)

    def compare(self, node: ast.expr, left: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]) -> bool:
        before = self.single(left)
        for op, right in zip(ops, rest, strict=True):
            after = self.single(right)
            if isinstance(before, bool) != isinstance(after, bool) or (
                isinstance(before, bool) and not isinstance(op, ast.Eq | ast.NotEq)
            ):
                shown = f"{before} with {after}".lower()
                raise self.error("expression-type", f"`{self.written(node)}` compares {shown}", node)
            if not _COMPARISONS[type(op)](before, after):
                return False
            before = after
        return True

    def call(self, node: ast.expr, name: str, arguments: list[Number]) -> Number:
        try:
            return self.bounded(_FUNCTIONS[name][0](*arguments), node)
        except (ValueError, ZeroDivisionError, OverflowError):
            shown = ", ".join(map(str, arguments))
            raise self.error("expression-domain", f"`{name}({shown})` is undefined", node) from None

    def single(self, node: ast.expr) -> Number:
        value = self.value(node)
        if isinstance(value, tuple):
            message = f"a single value is needed, but `{self.written(node)}` is the pair {list(value)}"
            raise self.error("expression-type", message, node, "nothing can be computed with pairs")
        return value

    def number(self, node: ast.expr) -> Number:
        value = self.single(node)
        if isinstance(value, bool):
            raise self.error("expression-type", f"a number is needed, but `{self.written(node)}` is {str(value).lower()}", node)
        return value

    def boolean(self, node: ast.expr) -> bool:
        value = self.single(node)
        if not isinstance(value, bool):
            message = f"a boolean is needed, but `{self.written(node)}` is {value}"
            raise self.error("expression-type", message, node, f"write `{self.written(node)} != 0`")
        return value

    def bounded(self, value: Number, node: ast.expr) -> Number:
        if not abs(value) <= MAX_MAGNITUDE:
            help = "check the numbers for typos: widths are rarely larger than a few thousand"
            raise self.error("expression-too-large", f"`{self.written(node)}` is larger than 2^31", node, help)
        return value

    def written(self, node: ast.expr) -> str:
        return self.text[node.col_offset + self.shift : (node.end_col_offset or 0) + self.shift]

    def error(self, code: str, message: str, node: ast.expr, help: str = "") -> ExpressionError:
        start = node.col_offset + self.shift
        return ExpressionError(code, message, start, (node.end_col_offset or 0) + self.shift, help)


def span_of(scalar: ScalarNode, start: int, stop: int) -> Span:
    """The place of the characters from `start` to `stop`; the whole scalar if it is folded or has escapes."""
    span = scalar.span
    if span.line != span.end_line or span.anchor is not None:
        return span
    quote = 0 if scalar.unquoted else 1
    if span.end_column - span.column != len(scalar.text) + 2 * quote:
        return span
    return span.within(start + quote, max(stop, start + 1) + quote)


def diagnose(error: ExpressionError, scalar: ScalarNode) -> Diagnostic:
    """Make the finding for an error in the expression of `scalar`."""
    span = span_of(scalar, error.start, error.stop)
    help, text = (error.help, error.text) if not error.function else _help_for_function(error, str(scalar.value))
    fixes = (Fix(help, (Edit(span, text),), "safe"),) if text and span is not scalar.span else ()
    if (not fixes and error.code == "expression-syntax") or error.function:
        from resnet_spec.language.expression_slips import find_slip  # only texts with a mistake need it

        slip = try_work("slip", scalar.text, lambda: find_slip(scalar.text, _is_expression), otherwise=None)
        whole = span_of(scalar, 0, len(scalar.text))
        if slip is not None:
            help = slip.help if f"`{slip.text}`" in slip.help else f"{slip.help}: `{slip.text}`"
            quoted = _needs_quotes(slip.text) and scalar.unquoted
            edit = Edit(whole, f'"{slip.text}"' if quoted else slip.text)
            fixes = (Fix(help, (edit,), slip.applicability),) if scalar.span.anchor is None and _is_plain(scalar, whole) else ()
            return Diagnostic(error.code, error.message, span, help=help, fixes=fixes)
    return Diagnostic(error.code, error.message, span, help=help, fixes=fixes)


def _help_for_function(error: ExpressionError, text: str) -> tuple[str, str]:
    """The help for a call of an unknown function in a text, and the call of the one that was meant, if there is an idea."""
    near = closest(error.function, FUNCTION_NAMES)
    meant = "" if near is None else near + text[error.start + len(error.function) : error.stop]
    return show_suggestion(near, FUNCTION_NAMES), meant


def _is_expression(text: str) -> bool:
    return isinstance(parse(text), Expression)


def _is_plain(scalar: ScalarNode, span: Span) -> bool:
    """Whether the text of a scalar is in its source as it is, at a place of its own."""
    source = scalar.span.source
    return source.line(span.line)[span.column - 1 : span.end_column - 1] == scalar.text


def _needs_quotes(text: str) -> bool:
    """Whether a text would be something else in YAML, or be split inside `{...}`."""
    return bool(set(text) & set(",{}[]#&*!|>%@`:")) and ("," in text or text[0] in "&*!|>%@`{[")
