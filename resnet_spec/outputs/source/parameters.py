"""The parameters of a class: its numbers that differ between uses, as few as say them all.

A slot is one argument of one call inside a class. Its values at all uses form a column; a column that is the same everywhere is
written as it is, and others become parameters, or follow from them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from resnet_spec.ops.source import CHANNELS, SourceValue
from resnet_spec.outputs.source.layout import literal
from resnet_spec.outputs.source.names import Namespace, variable
from resnet_spec.outputs.source.parts import ClassCount

PLACES = ("groups", "start", "stop")  # counts of channels that are no widths
ABSENT = object()  # the value of a slot at a use that has not the part
Column = tuple[object, ...]
LARGEST_FACTOR = 16


@dataclass(eq=False)
class Parameter:
    """A parameter of a class and its values at the uses. `default` is ABSENT where it has none.

    `present` are the uses that have the part which it is about.
    """

    name: str
    kind: str
    column: Column
    default: object = ABSENT
    present: tuple[bool, ...] = ()

    @property
    def is_groups(self) -> bool:
        return self.name.endswith("groups")

    @property
    def is_width(self) -> bool:
        return self.kind == "channels" and not _ends(self.name, *PLACES)

    @property
    def annotation(self) -> str:
        kinds = {_type(value) for value in self.column}
        if kinds == {"int", "float"}:
            kinds = {"float"}
        return " | ".join(sorted(kinds, key=lambda kind: (kind == "None", kind)))


@dataclass(eq=False)
class Slot:
    """An argument of a call in a class: the name of its part, its own name and kind, its column, and the text that is written.

    Slots of different kinds are never the same parameter. `source` are, at all uses, the channels of the value that the part
    reads, where the argument is these and some uses have not the part.
    """

    part: str
    name: str
    kind: str
    column: Column
    text: str = ""
    source: Column = ()

    @property
    def present(self) -> tuple[bool, ...]:
        """The uses that have the part."""
        return tuple(value is not ABSENT for value in self.column)


def make_slot(part: str, name: str, column: Column) -> Slot:
    channels = name in CHANNELS or _ends(name, "channels", "width", "features", "classes")
    return Slot(part, name, "channels" if channels else _last(name), column)


def _ends(name: str, *words: str) -> bool:
    return any(name == word or name.endswith(f"_{word}") for word in words)


def _last(name: str) -> str:
    """`conv2_stride` is about a stride."""
    for word in ("kernel_size", "stride", "padding", "dilation", "groups", "bias", "p"):
        if _ends(name, word):
            return word
    return name


def _type(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "str"
        case tuple():
            return f"tuple[{', '.join(_type(each) for each in value)}]"
    return "None"


def key(value: object) -> object:
    """Equal for values that are written alike: 1, 1.0 and True are not, nor a number and the number of classes."""
    if isinstance(value, tuple):
        return tuple(map(key, value))
    return (type(value).__name__, value)


def _keys(column: Column) -> tuple[object, ...]:
    return tuple(map(key, column))


def constant(column: Column) -> object:
    """The one value of a column, or ABSENT."""
    known = {key(value): value for value in column if value is not ABSENT}
    return next(iter(known.values())) if len(known) == 1 else ABSENT


class Parameters:
    """Finds the parameters of a class. `entering` and `leaving` are the channels of its input and output at each use."""

    def __init__(
        self, slots: Sequence[Slot], entering: Column, leaving: Column, flags: Sequence[Slot], has_width: bool = True
    ) -> None:
        self.names = Namespace()
        self.has_width = has_width  # a width in between is called `width`
        self._tuples: list[tuple[Slot, list[Slot]]] = []
        self.found: list[Parameter] = []
        self._leaving = leaving
        self.entering, self.leaving = _keys(entering), _keys(leaving)
        varying: list[Slot] = []
        for slot in slots:
            value = constant(slot.column)
            is_shared = ABSENT in slot.column and slot.kind in ("channels", "stride")
            is_shared = is_shared and not (value == 1 and (slot.name == "groups" or slot.kind == "stride"))
            if value is not ABSENT and not isinstance(value, ClassCount) and not is_shared:
                slot.text = literal(value)
            elif constant(slot.column) is ABSENT and _tuples(slot.column):
                self._split(slot)
            else:
                varying.append(slot)
        self._resolve(varying)
        for flag in flags:
            flag.text = self._condition(flag, slots)
        self._set_defaults()

    @property
    def ordered(self) -> list[Parameter]:
        """Those without a default first, the channels of the input before all others."""

        def place(parameter: Parameter) -> tuple[bool, bool, bool]:
            has_default = parameter.default is not ABSENT
            return (has_default, parameter.name != "in_channels", not parameter.is_width)

        return sorted(self.found, key=place)

    def _split(self, slot: Slot) -> None:
        """Take the numbers of tuples one by one: they may add up to channels."""
        length = next(len(value) for value in slot.column if isinstance(value, tuple))
        parts = []
        for at in range(length):
            column = tuple(value[at] if isinstance(value, tuple) else ABSENT for value in slot.column)
            value = constant(column)
            parts.append(Slot(slot.part, slot.name, "channels", column, "" if value is ABSENT else literal(value)))
        self._tuples.append((slot, parts))

    def _resolve(self, slots: list[Slot]) -> None:
        slots = slots + [part for _, parts in self._tuples for part in parts if not part.text]
        whole = [slot for slot in slots if ABSENT not in slot.column]
        channels = [slot for slot in whole if slot.kind == "channels"]
        # The channels that enter come first, those that leave last: widths in between say more.
        channels.sort(key=self._rank)
        others = [slot for slot in whole if slot.kind != "channels"]
        others.sort(key=lambda slot: slot.kind == "padding")
        partial = [slot for slot in slots if ABSENT in slot.column]
        partial.sort(key=lambda slot: slot.kind == "stride" and constant(slot.column) is not ABSENT)
        self._kinds = Counter(name for name, _ in {(slot.name, _keys(slot.column)) for slot in others})
        for slot in (*channels, *others, *partial):
            value = constant(slot.column)
            is_plain = value is not ABSENT and not isinstance(value, ClassCount)
            known = "" if all(slot.present) else self._known_text(slot, channels)
            slot.text = known or self._text(slot) or (literal(value) if is_plain else self._add(slot))
        for slot, parts in self._tuples:
            comma = "," if len(parts) == 1 else ""
            slot.text = f"({', '.join(part.text for part in parts)}{comma})"

    def _rank(self, slot: Slot) -> int:
        if _keys(slot.column) == self.entering:
            return 0
        return 3 if _keys(slot.column) == self.leaving else 2 if slot.name in PLACES else 1

    def _add(self, slot: Slot) -> str:
        """Make a parameter of a slot."""
        column = slot.column
        default: object = ABSENT
        if ABSENT in column:
            usual = Counter(key(value) for value in column if value is not ABSENT).most_common(1)[0][0]
            (value, *_) = [value for value in column if value is not ABSENT and key(value) == usual]
            default = value = 0.0 if isinstance(value, float) else 1 if slot.kind == "stride" else value
            column = tuple(value if each is ABSENT else each for each in column)
        name = self.names.give(self._name(slot, _keys(column)))
        self.found.append(Parameter(name, slot.kind, column, default, slot.present))
        return name

    def _name(self, slot: Slot, keys: tuple[object, ...]) -> str:
        if all(isinstance(value, ClassCount) for value in slot.column):
            return "num_classes"
        part = variable(slot.part)
        if slot.name in CHANNELS and slot.name not in PLACES:
            if keys == self.entering:
                return "in_channels"
            if keys == self.leaving:
                return "out_channels"
            if slot.name in ("in_features", "out_features"):
                return slot.name
            return "width" if self.has_width and "width" not in self.names.taken else f"{part}_width"
        taken = slot.name in self.names.taken or self._kinds[slot.name] > 1
        return f"{part}_{slot.name}" if taken else slot.name

    def _known_text(self, slot: Slot, channels: Sequence[Slot]) -> str:
        """The channels of a part that not every use has, as others are written that equal them; or an empty text.

        Where they are those of the input or of the output, that is why: a projection's. Else what most others are called.
        """
        if slot.kind != "channels" or slot.name in PLACES:
            return ""
        if slot.source and _matches(slot.column, slot.source):
            if (value := constant(slot.source)) is not ABSENT:
                return literal(value)
            if text := self._text(replace(slot, column=slot.source)):
                return text
        order = (self.entering, self.leaving) if slot.name.startswith("in_") else (self.leaving, self.entering)
        for end in order:
            fits = all(value is ABSENT or key(value) == known for value, known in zip(slot.column, end, strict=True))
            if fits and len(set(end)) == 1:
                return literal(constant(slot.column))
            if fits and (text := next((each.text for each in channels if _keys(each.column) == end), "")):
                return text
        if constant(slot.column) is not ABSENT:
            return ""
        equal = Counter(each.text for each in channels if each.text and _matches(slot.column, each.column))
        return max(equal, key=lambda text: equal[text], default="")

    def _text(self, slot: Slot) -> str:
        """A slot as an expression of the parameters that are known, or an empty text."""
        for parameter in self.found:
            if parameter.kind == slot.kind and _matches(slot.column, parameter.column):
                return parameter.name
        if slot.kind == "padding":
            return self._padding(slot)
        if not all(value is ABSENT or type(value) is int for value in slot.column):
            return ""
        channels = [each for each in self.found if each.kind == "channels" and all(type(v) is int for v in each.column)]
        if slot.kind != "channels" and ABSENT not in slot.column:
            return ""
        if len({key(value) for value in slot.column if value is not ABSENT}) < 2:
            return ""
        for parameter in channels:
            if text := _multiple(slot.column, parameter.name, parameter.column):
                return text
        for first in channels:
            for second in channels:
                if first is not second:
                    difference = tuple(a - b for a, b in zip(first.column, second.column, strict=True))  # type: ignore[operator]
                    if text := _multiple(slot.column, f"({first.name} - {second.name})", difference):
                        return text
        return ""

    def _padding(self, slot: Slot) -> str:
        for parameter in self.found:
            if parameter.kind == "dilation" and _matches(slot.column, parameter.column):
                return parameter.name
        for parameter in self.found:
            if parameter.kind != "kernel_size" or not all(type(value) is int for value in parameter.column):
                continue
            halves = tuple(value // 2 for value in parameter.column)  # type: ignore[operator]
            rates = {f"{factor} * ": (factor,) * len(halves) for factor in range(2, LARGEST_FACTOR + 1)}
            for each in self.found:
                if each.kind == "dilation" and all(type(value) is int for value in each.column):
                    rates[f"{each.name} * "] = each.column  # type: ignore[assignment]
            if _matches(slot.column, halves):
                return f"{parameter.name} // 2"
            for text, rate in rates.items():
                if _matches(slot.column, tuple(a * b for a, b in zip(rate, halves, strict=True))):
                    return f"{text}({parameter.name} // 2)"
        return ""

    def _is_only_where(self, parameter: Parameter, slots: Sequence[Slot]) -> bool:
        """Whether a parameter is read only by parts that are there at the same uses, and by one of them as it is."""
        word = re.compile(rf"\b{re.escape(parameter.name)}\b")
        readers = [slot for slot in slots if word.search(slot.text)]
        return {slot.present for slot in readers} == {parameter.present} and any(
            slot.text == parameter.name for slot in readers
        )

    def _condition(self, flag: Slot, slots: Sequence[Slot]) -> str:
        """When an optional part is there: a condition on the parameters, or a parameter of its own."""
        for parameter in self.found if flag.kind == "flag" else ():
            known = parameter.kind == "channels" and parameter.present == flag.column
            if known and self._is_only_where(parameter, slots):
                pairs = zip(parameter.column, parameter.present, strict=True)
                parameter.column, parameter.default = tuple(value if here else None for value, here in pairs), None
                return f"{parameter.name} is not None"
        for text, values in self._tests(flag.kind):
            if values == flag.column:
                return text
        name = self.names.give("residual" if flag.kind == "join" else f"with_{variable(flag.part)}")
        self.found.append(Parameter(name, "flag", flag.column))
        return name

    def _tests(self, kind: str) -> list[tuple[str, tuple[bool, ...]]]:
        """Conditions on the parameters, and whether they hold at each use: those first that explain a part of this kind.

        A sum needs equal shapes: a shortcut is projected, and a block without one has no sum, where stride or channels differ.
        """
        numbers = [each for each in self.found if each.kind != "channels" and all(type(v) is int for v in each.column)]
        others = [(f"{each.name} != 1", tuple(value != 1 for value in each.column)) for each in numbers]
        for each in self.found:
            if all(isinstance(value, bool) for value in each.column):
                others.append((each.name, tuple(map(bool, each.column))))
            elif all(isinstance(value, float) for value in each.column):
                others.append((f"{each.name} > 0", tuple(value > 0 for value in each.column)))  # type: ignore[operator]
        ones = [(f"{each.name} == 1", tuple(value == 1 for value in each.column)) for each in numbers if each.kind == "stride"]
        leaving = self.text_of(self._leaving, "channels")
        entering = next((each for each in self.found if each.name == "in_channels"), None)
        if entering is None or not leaving or leaving == "in_channels":
            return [*ones, *others] if kind == "join" else [*others, *ones]
        pair = zip(self.leaving, _keys(entering.column), strict=True)
        more = tuple(a != b for a, b in pair)
        same = tuple(not each for each in more)
        unequal, equal = f"in_channels != {leaving}", f"in_channels == {leaving}"
        either = [(f"{text} or {unequal}", _any(values, more)) for text, values in others]
        strides = {f"{each.name} != 1" for each in numbers if each.kind == "stride"}
        strided = [(f"{text} or {unequal}", _any(values, more)) for text, values in others if text in strides]
        both = [(f"{text} and {equal}", _all(values, same)) for text, values in ones]
        if kind == "join":
            return [*both, (equal, same), *ones, *others, (unequal, more), *either]
        if kind == "shortcut":
            return [*strided, (unequal, more), *others, *either, *ones, (equal, same), *both]
        return [*others, (unequal, more), *either, *ones, (equal, same), *both]

    def text_of(self, column: Column, kind: str) -> str:
        """A column as an expression of the parameters, a number if it is always the same, or an empty text."""
        if (value := constant(column)) is not ABSENT:
            return literal(value)
        found = self._text(Slot("", "", kind, column))
        if found or kind != "channels":
            return found
        for parameter in self.found:
            if parameter.kind == "channels" and all(type(v) is int for v in (*parameter.column, *column)):
                more = {a - b for a, b in zip(column, parameter.column, strict=True)}  # type: ignore[operator]
                if len(more) == 1:
                    (number,) = more
                    return f"{parameter.name} {'+' if number > 0 else '-'} {abs(number)}"
        return ""

    def _set_defaults(self) -> None:
        """The usual value of a parameter that is no width is its default."""
        for parameter in self.found:
            if parameter.default is not ABSENT:
                continue
            if parameter.is_groups and 1 in parameter.column:
                parameter.default = 1
            if parameter.kind == "stride":
                parameter.default = 1 if 1 in parameter.column else ABSENT
                continue
            usual, count = Counter(map(key, parameter.column)).most_common(1)[0]
            if parameter.kind != "channels" and count * 2 > len(parameter.column):
                parameter.default = next(value for value in parameter.column if key(value) == usual)


def _any(first: tuple[bool, ...], second: tuple[bool, ...]) -> tuple[bool, ...]:
    return tuple(a or b for a, b in zip(first, second, strict=True))


def _all(first: tuple[bool, ...], second: tuple[bool, ...]) -> tuple[bool, ...]:
    return tuple(a and b for a, b in zip(first, second, strict=True))


def _tuples(column: Column) -> bool:
    """Whether a column holds tuples of one length that are no pairs of a height and a width."""
    sizes = {len(value) if isinstance(value, tuple) else 0 for value in column if value is not ABSENT}
    return len(sizes) == 1 and sizes.pop() not in (0, 2)


def _matches(column: Column, other: Column) -> bool:
    return all(a is ABSENT or key(a) == key(b) for a, b in zip(column, other, strict=True))


def _multiple(column: Column, name: str, base: Column) -> str:
    """A column of numbers as a multiple or a part of another one."""
    pairs = [(a, b) for a, b in zip(column, base, strict=True) if isinstance(a, int) and isinstance(b, int)]
    rates = {Fraction(a, b) if b else None for a, b in pairs}
    rate = rates.pop() if len(rates) == 1 else None
    if rate is None or rate <= 0 or max(rate.numerator, rate.denominator) > LARGEST_FACTOR:
        return ""
    if rate == 1:
        return name.strip("()") if name.startswith("(") else name
    if rate.denominator == 1:
        return f"{rate.numerator} * {name}"
    return f"{name} // {rate.denominator}" if rate.numerator == 1 else f"{rate.numerator} * {name} // {rate.denominator}"


def as_value(value: object) -> SourceValue:
    """A value of a column as an argument of a call."""
    assert value is not ABSENT
    return value  # type: ignore[return-value]
