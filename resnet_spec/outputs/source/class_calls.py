"""The calls inside a class, with the parameters of the class as their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from resnet_spec.ops import Shape
from resnet_spec.ops.source import REQUIRED, Required, SourceArgument, SourceCall
from resnet_spec.outputs.source.classes import BlockClass
from resnet_spec.outputs.source.layout import literal, shape_literal
from resnet_spec.outputs.source.parameters import ABSENT, Column, Parameters, Slot, as_value, constant, make_slot
from resnet_spec.outputs.source.parts import SourcePart

ENTERING = ("in_channels", "in_features", "num_features", "num_channels")  # arguments that are channels of the input
CallPlace = tuple[int, ...]  # a part of a class, and the places inside of sequences that lead to a call


class ClassCalls:
    """The calls in a class and their arguments as text. `call_of` is the call of a layer or of the class of a block."""

    def __init__(
        self,
        known: BlockClass,
        call_of: Callable[[SourcePart], SourceCall],
        shape_of: Callable[[int], Shape],
    ) -> None:
        self.known = known
        self.shape_of = shape_of
        self.calls: dict[CallPlace, SourceCall] = {}
        self.slots: dict[tuple[CallPlace, str], Slot] = {}
        for place, part in enumerate(known.parts):
            self._collect(part.name, (place,), [present[place] for present in known.present], call_of)
        flags = [self._flag(place) for place in sorted(known.optional)]
        self.flags = dict(zip(sorted(known.optional), flags, strict=True))
        entering = tuple(shape_of(use.inputs[0])[0] for use in known.uses)
        leaving = tuple(shape_of(use.output)[0] for use in known.uses)
        slots = list(self.slots.values())
        self.parameters = Parameters(slots, entering, leaving, flags)
        if sum(name == "width" or "_width" in name for name in (each.name for each in self.parameters.found)) > 1:
            self.parameters = Parameters(slots, entering, leaving, flags, has_width=False)

    def _collect(
        self, name: str, place: CallPlace, parts: Sequence[SourcePart | None], call_of: Callable[[SourcePart], SourceCall]
    ) -> None:
        first = next(part for part in parts if part is not None)
        if first.kind == "sequence":
            for at in range(len(first.parts)):
                inner = [None if part is None else part.parts[at] for part in parts]
                self._collect(name, (*place, at), inner, call_of)
            return
        if first.kind == "layer" and first.call is None:
            return
        called = [None if part is None else call_of(part) for part in parts]
        self.calls[place] = next(call for call in called if call is not None)
        for at, argument in enumerate(self.calls[place].arguments):
            column: Column = tuple(ABSENT if call is None else call.arguments[at].value for call in called)
            if argument.name == "inplace":  # where one use may not overwrite its input, none does
                column = (all(value is not False for value in column),) * len(column)
            slot = make_slot(name, argument.name, column)
            if ABSENT in column and argument.name in ENTERING and not any(place[1:]):
                slot.source = tuple(self._entering(use, self.known.parts[place[0]].inputs[0]) for use in range(len(column)))
            self.slots[place, argument.name] = slot

    def _flag(self, place: int) -> Slot:
        column = tuple(present[place] is not None for present in self.known.present)
        part = self.known.parts[place]
        is_join = part.op is not None and part.op.joins
        return Slot(part.name, "", "join" if is_join else "shortcut" if self._is_shortcut(part) else "flag", column)

    def _is_shortcut(self, part: SourcePart) -> bool:
        """Whether a part is all of the way from the input of the class to a sum."""
        readers = [each for each in self.known.parts if part.output in each.inputs]
        sums = [each for each in readers if each.op is not None and each.op.joins == "sum"]
        return part.inputs == (self.known.model.inputs[0],) and bool(sums) and sums == readers

    def _entering(self, use: int, value: int) -> int:
        """The channels at a use of a value of the whole use; of a part that is absent, those that it passes on."""
        known, parts = self.known, self.known.parts
        place = next((at for at, part in enumerate(parts) if part.output == value and value not in part.inputs), None)
        if place is None:
            return self.shape_of(known.uses[use].inputs[0])[0]
        part = known.present[use][place]
        if part is not None:
            return self.shape_of(part.output)[0]
        return self._entering(use, parts[place].inputs[known.passes.get(place, 0)])

    def is_constant(self, place: CallPlace) -> bool:
        """Whether all arguments of a call are the same at every use."""
        names = [argument.name for argument in self.calls[place].arguments]
        return all(constant(self.slots[place, name].column) is not ABSENT for name in names)

    def arguments(self, place: CallPlace) -> list[tuple[str, str]]:
        """The arguments of a call: a prefix and an expression. Defaults are left out."""
        found: list[tuple[str, str]] = []
        positional = True
        for argument in self.calls[place].arguments:
            text = self.slots[place, argument.name].text
            if not isinstance(argument.default, Required) and text == literal(argument.default):
                positional = False
                continue
            positional = positional and argument.positional
            found.append(("" if positional else f"{argument.name}=", text))
        return found

    @property
    def is_generic(self) -> bool:
        """Whether the uses differ in numbers, so that shapes are best said in terms of `H` and `W`."""
        return len(self.known.uses) > 1 and bool(self.parameters.found)

    def shape_text(self, places: Sequence[SourcePart | None]) -> str:
        """The shape of the output of a part at all uses, in terms of parameters: `(N, width, H/stride, W/stride)`."""
        pairs = [
            (self.shape_of(part.output), self.shape_of(use.inputs[0]))
            for part, use in zip(places, self.known.uses, strict=True)
            if part is not None
        ]
        shapes = {shape for shape, _ in pairs}
        same = shape_literal(pairs[0][0]) if len(shapes) == 1 else ""
        if same and not self.is_generic:
            return same
        if len({len(shape) for shape in shapes}) > 1:
            return ""
        numbers = count()
        column = tuple(ABSENT if part is None else pairs[next(numbers)][0][0] for part in places)
        channels = self.parameters.text_of(column, "channels") or "C"
        rank = len(pairs[0][0])
        if rank == 1:
            return f"(N, {channels})"
        if rank != 3:
            return same
        sizes = self._sizes(places, pairs)
        return f"(N, {channels}, {sizes})" if sizes else same

    def _sizes(self, places: Sequence[SourcePart | None], pairs: Sequence[tuple[Shape, Shape]]) -> str:
        if any(len(before) != 3 for _, before in pairs):
            return ""
        if all(shape[1:] == before[1:] for shape, before in pairs):
            return "H, W"
        if all(tuple(2 * size for size in before[1:]) == shape[1:] for shape, before in pairs):
            return "2 * H, 2 * W"
        if all(_divided(shape, before, 2) for shape, before in pairs):
            return "H/2, W/2"
        used = [at for at, part in enumerate(places) if part is not None]
        for parameter in self.parameters.found:
            values = [parameter.column[at] for at in used]
            if parameter.kind == "stride" and all(
                isinstance(value, int) and _divided(shape, before, value)
                for value, (shape, before) in zip(values, pairs, strict=True)
            ):
                return f"H/{parameter.name}, W/{parameter.name}"
        if len({shape[1:] for shape, _ in pairs}) == 1:
            return ", ".join(map(str, pairs[0][0][1:]))
        return ""

    def constructor(self, use: int) -> SourceCall:
        """The call of the class at one of its uses."""
        return SourceCall(
            self.known.name,
            tuple(
                SourceArgument(
                    each.name,
                    as_value(each.column[use]),
                    REQUIRED if each.default is ABSENT else as_value(each.default),
                    each.default is ABSENT and each.is_width,
                )
                for each in self.parameters.ordered
            ),
        )


def _divided(shape: Shape, before: Shape, by: int) -> bool:
    return all(after == -(-size // by) for after, size in zip(shape[1:], before[1:], strict=True))
