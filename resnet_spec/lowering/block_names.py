"""The names of the blocks of a stage: their numbers, or what the pattern `names` makes of these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from resnet_spec.language.expressions import IN_BRACES, Number, Value, expressions_in_braces
from resnet_spec.language.reserved import meaning_of_module_name
from resnet_spec.language.spec import ScalarNode
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.values import evaluate, refuse

FACTS_OF_NAMES = ("index", "block_index")  # the number of the block in its stage, and in the network
_NAME = re.compile(r"[^\W\d][\w-]*|0|[1-9][0-9]*")


@cache
def range_names(depth: int) -> Sequence[str]:
    """The names of the blocks of a stage without `names`: 0, 1, 2, ..."""
    return tuple(map(str, range(depth)))


def name_block(names: ScalarNode, scope: Scope, facts: Mapping[str, Number]) -> str:
    """The name that a pattern gives to one block. Raises UnknownValueError."""
    around = _WithFacts(scope, facts)
    parts = iter(expressions_in_braces(names))
    name = IN_BRACES.sub(lambda _: _text(evaluate(next(parts), around), names), names.text)
    if not _NAME.fullmatch(name):
        message = f"`names` makes `{name}`, which is no name"
        help = "a name consists of letters, digits, underscores and hyphens, or is a number: `names: block{index}`"
        raise refuse("invalid-name", message, names.span, help)
    if what := meaning_of_module_name(name):
        message = f"`names` makes `{name}`, which is {what}"
        raise refuse("reserved-name", message, names.span, "choose another name")
    return name


def _text(value: Value, names: ScalarNode) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"an expression in `names` must be an integer, but this is {str(value).lower()}"
        raise refuse("expression-type", message, names.span, "divide with `//`")
    return str(value)


class _WithFacts:
    """A scope with some more names."""

    def __init__(self, around: Scope, facts: Mapping[str, Number]) -> None:
        self.around, self.facts = around, facts

    def lookup(self, name: str) -> Value:
        return self.facts[name] if name in self.facts else self.around.lookup(name)

    def known(self, name: str) -> Value | None:
        return self.facts[name] if name in self.facts else self.around.known(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        return None if name in self.facts else self.around.origin(name)
