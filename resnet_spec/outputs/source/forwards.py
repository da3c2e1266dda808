"""The statements of a `forward`: what a class computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet_spec.graph.model import Output
from resnet_spec.outputs.source.class_calls import ClassCalls
from resnet_spec.outputs.source.constructors import BODY, join_flag
from resnet_spec.outputs.source.layout import WIDTH, Call, Element, Text, call, lay_out, quoted
from resnet_spec.outputs.source.names import Namespace, is_attribute, variable
from resnet_spec.outputs.source.parts import SourcePart

MOST_BETWEEN = 3  # parts of a shortcut between the last value of a branch and the sum


def find_functional(calls: ClassCalls) -> frozenset[int]:
    """The places of operations that are written as expressions: they hold nothing, and their numbers are always the same."""
    found: set[int] = set()
    for place, part in enumerate(calls.known.parts):
        if part.op is None or part.is_parameter or (place in calls.flags and not part.op.joins):
            continue
        is_constant = (place,) not in calls.calls or calls.is_constant((place,))
        if part.op.expression(*["x"] * len(part.inputs)) and is_constant:
            found.add(place)
    return frozenset(found)


class Forward:
    """Writes the statements of one class.

    A value that is read only by the next part is called `out`, or `x` where the input is not needed later; other values have
    the names of their parts.
    """

    def __init__(
        self,
        calls: ClassCalls,
        functional: frozenset[int],
        containers: Mapping[tuple[str, ...], str],
        outputs: Sequence[Output] = (),
    ) -> None:
        self.calls, self.functional, self.containers, self.outputs = calls, functional, containers, outputs
        self.parts = calls.known.parts
        model = calls.known.model
        self.entering = model.inputs[0]
        self.returned = [output.value for output in outputs] or [model.output]
        self.readers: dict[int, list[int]] = {}
        for place, part in enumerate(self.parts):
            for value in part.inputs:
                self.readers.setdefault(value, []).append(place)
        for value in self.returned:
            self.readers.setdefault(value, []).append(len(self.parts))
        self.names = self._name_values()

    def _name_values(self) -> dict[int, str]:
        names = Namespace(frozenset(("F", "identity")))
        found = {self.entering: "x"}
        later = any(place > 0 for place in self.readers.get(self.entering, ()))
        short = "out" if later and self.parts else "x"
        needed = 0  # the place up to which `short` is needed for an earlier value
        for place, part in enumerate(self.parts):
            if part.output in found:
                continue
            if place >= needed and (reader := self._soon(part.output, place)):
                found[part.output], needed = short, reader
            elif place in self.calls.flags and part.inputs[0] == self.entering and "identity" not in found.values():
                found[part.output] = "identity"
            elif part.output in self.readers:
                found[part.output] = names.give(variable("_".join(part.path)))
        return found

    def _soon(self, value: int, place: int) -> int:
        """The place of the only reader of a value, if it is the next one, or a sum after a shortcut; else 0."""
        (reader, *others) = self.readers.get(value) or [0]
        if others or reader == 0:
            return 0
        op = self.parts[reader].op if reader < len(self.parts) else None
        joins = op is not None and op.joins not in (None, "concatenation")
        return reader if reader == place + 1 or (joins and reader - place <= MOST_BETWEEN) else 0

    def statements(self) -> list[str]:
        lines: list[str] = []
        declared: set[str] = {"x"}
        returned = {self.names[value] for value in self.returned} if not self.outputs else set()
        training = False
        said = ""  # the shape in the last comment
        place = 0
        while place < len(self.parts):
            part = self.parts[place]
            if self.outputs and part.training_only and not training:
                lines.append(f"{' ' * BODY}if self.training:")
            training = bool(self.outputs) and part.training_only
            indent = BODY + 4 if training else BODY
            count = self._fused(place, indent, returned - declared, said)
            shape = self._shape(place)
            if self._inline(place, count, indent):
                place += count
                continue
            lines += self._statement(place, count, indent, returned - declared, "" if shape == said else shape)
            said = said if place in self.calls.flags else shape
            declared.add(self.names.get(self.parts[place + count - 1].output, ""))
            place += count
        return [*lines, *self._return()]

    def _fused(self, place: int, indent: int, undeclared: set[str], said: str) -> int:
        """How many parts from a place on are one statement: a layer and those after it that keep its shape."""
        if not self._can_start(place):
            return 1
        shape = self._shape(place)
        count = 1
        while place + count < len(self.parts):
            last, part = self.parts[place + count - 1], self.parts[place + count]
            keeps = part.kind == "layer" and part.op is not None and part.op.family in ("normalization", "activation")
            short = self.readers.get(last.output) == [place + count] and part.inputs == (last.output,)
            same = part.training_only == last.training_only
            if not (keeps and short and same) or place + count in self.calls.flags or place + count in self.functional:
                break
            target = self.names.get(part.output, "x")
            note = f"  # {shape}" if shape and shape != said else ""
            line = f"{target}{': Tensor' if target in undeclared else ''} = {self._expression(place, count + 1)}{note}"
            if indent + len(line) > WIDTH:
                break
            count += 1
        return count

    def _inline(self, place: int, count: int, indent: int) -> bool:
        """Whether a value is written in the sum that reads it next, and nowhere else: `out += self.downsample(x)`."""
        reader, last = place + count, self.parts[place + count - 1]
        if place in self.functional or place in self.calls.flags or reader in self.calls.flags:
            return False
        if last.is_parameter or last.output in last.inputs or self.readers.get(last.output) != [reader]:
            return False
        if not (last.op or last.parts):
            return False
        if reader == len(self.parts) or not self._is_sum(reader) or self.parts[reader].training_only != last.training_only:
            return False
        part, name = self.parts[reader], self.names[last.output]
        target = self.names.get(part.output, "")
        others = {self.names[value] for value in part.inputs if value != last.output}
        if name == target or target not in others:
            return False
        self.names[last.output] = self._expression(place, count)
        if len(self._statement(reader, 1, indent, set(), "")) == 1:
            return True
        self.names[last.output] = name  # the sum would need several lines
        return False

    def _overwrites(self, place: int) -> bool:
        """Whether a part may write over its last input: where one use may not, none does."""
        return all(part is None or part.overwrites for part in (present[place] for present in self.calls.known.present))

    def _is_sum(self, place: int) -> bool:
        op = self.parts[place].op
        return op is not None and op.joins == "sum" and len(self.parts[place].inputs) == 2

    def _can_start(self, place: int) -> bool:
        part = self.parts[place]
        is_called = place not in self.functional and place not in self.calls.flags and not part.is_parameter
        return (
            is_called and part.kind in ("layer", "sequence") and bool(part.op or part.parts) and part.output not in part.inputs
        )

    def _expression(self, place: int, count: int) -> str:
        part = self.parts[place]
        values = [self.names[value] for value in part.inputs]
        if part.op is not None and part.is_parameter:
            return part.op.expression(*values, self._access(part))
        if part.op is not None and place in self.functional:
            return part.op.expression(*values)
        text = f"{self._access(part)}({', '.join(values)})"
        for each in self.parts[place + 1 : place + count]:
            text = f"{self._access(each)}({text})"
        return text

    def _access(self, part: SourcePart) -> str:
        group, *rest = part.path
        if not rest and is_attribute(group):
            return f"self.{group}"
        if rest and part.path[:-1] in self.containers:
            kinds = [self.containers[part.path[:depth]] for depth in range(1, len(part.path))]
            places = zip(kinds, rest, strict=True)
            return f"self.{group}" + "".join(f"[{name if kind == 'list' else quoted(name)}]" for kind, name in places)
        method = "get_parameter" if part.is_parameter else "get_submodule"
        return f"self.{method}({quoted('.'.join(part.path))})"

    def _shape(self, place: int) -> str:
        return self.calls.shape_text([present[place] for present in self.calls.known.present])

    def _statement(self, place: int, count: int, indent: int, undeclared: set[str], shape: str) -> list[str]:
        part, last = self.parts[place], self.parts[place + count - 1]
        if part.kind != "layer" and not part.parts:
            return []
        target = self.names.get(last.output)
        if target is None and place in self.functional:
            return []
        expression = self._expression(place, count)
        margin = " " * indent
        if target is None:
            return [f"{margin}{expression}"]
        typed = f"{target}: Tensor" if target in undeclared else target
        if place in self.calls.flags and part.op is not None and part.op.joins:
            return self._optional_join(place, target, expression, indent)
        if place in self.calls.flags:
            return self._optional(part, target, typed, expression, indent)
        if self._overwrites(place) and part.op is not None and part.op.joins and len(part.inputs) == 2:
            first, second = (self.names[value] for value in part.inputs)
            if target == second:
                return [f"{margin}{second} += {first}" + self._comment(f"{margin}{second} += {first}", shape)]
        line = f"{margin}{typed} = {expression}"
        if len(line) <= WIDTH:
            return [line + self._comment(line, shape)]
        return self._long(typed, place, expression, indent)

    def _comment(self, line: str, shape: str) -> str:
        return f"  # {shape}" if shape and len(line) + len(shape) + 4 <= WIDTH else ""

    def _long(self, typed: str, place: int, expression: str, indent: int) -> list[str]:
        """A statement that needs several lines."""
        part = self.parts[place]
        values = [self.names[value] for value in part.inputs]
        if part.op is not None and part.op.joins == "concatenation":
            node = Call("torch.cat", (Element(call("", values)), Element(Text("1"))))
            return lay_out(f"{typed} = ", node, "", indent)
        if place not in self.functional and not part.is_parameter:
            return lay_out(f"{typed} = ", call(self._access(part), values), "", indent)
        if part.op is not None and not part.op.joins and expression.endswith(")"):
            head, _, inner = expression[:-1].partition("(")
            return lay_out(f"{typed} = ", call(head, _split(inner)), "", indent)
        operator = next((each for each in (" + ", " - ", " * ") if each in expression), "")
        if not operator:
            return [f"{' ' * indent}{typed} = {expression}"]
        first, *others = expression.split(operator)
        inside = " " * (indent + 4)
        body = [f"{inside}{first}", *(f"{inside}{operator.strip()} {other}" for other in others)]
        whole = f"{inside}{expression}"
        return [f"{' ' * indent}{typed} = (", *([whole] if len(whole) <= WIDTH else body), f"{' ' * indent})"]

    def _optional_join(self, place: int, target: str, expression: str, indent: int) -> list[str]:
        part, margin = self.parts[place], " " * indent
        passed = self.names[part.inputs[self.calls.known.passes[place]]]
        first, second = (self.names[value] for value in part.inputs)
        assigned = f"{second} += {first}" if self._overwrites(place) and target == second else f"{target} = {expression}"
        condition = f"{margin}if self.{join_flag(self.calls, part)}:"
        if passed == target:
            return [condition, f"{margin}    {assigned}"]
        if target in (first, second):  # it holds what is joined with the value that is passed on
            return [condition, f"{margin}    {assigned}", f"{margin}else:", f"{margin}    {target} = {passed}"]
        return [f"{margin}{target} = {passed}", condition, f"{margin}    {assigned}"]

    def _optional(self, part: SourcePart, target: str, typed: str, expression: str, indent: int) -> list[str]:
        margin, access, source = " " * indent, self._access(part), self.names[part.inputs[0]]
        if not is_attribute(part.name):
            name = variable(part.name)
            given = f"{margin}{name} = self._modules[{quoted(part.name)}]"
            return [given, *self._choice(name, f"{name}({source})", target, typed, source, margin)]
        return self._choice(access, expression, target, typed, source, margin)

    def _choice(self, access: str, expression: str, target: str, typed: str, source: str, margin: str) -> list[str]:
        if target == source:
            return [f"{margin}if {access} is not None:", f"{margin}    {target} = {expression}"]
        line = f"{margin}{typed} = {source} if {access} is None else {expression}"
        if len(line) <= WIDTH:
            return [line]
        return [f"{margin}{typed} = {source}", f"{margin}if {access} is not None:", f"{margin}    {target} = {expression}"]

    def _return(self) -> list[str]:
        margin = " " * BODY
        if not self.outputs:
            return [f"{margin}return {self.names[self.returned[0]]}"]
        first = self.outputs
        at = next((at for at, output in enumerate(first) if output.training_only), len(first))
        pairs = [Element(Text(self.names[output.value]), f"{quoted(output.name)}: ") for output in first[:at]]
        if at == len(first):
            return lay_out("return ", Call("", tuple(pairs), "{}"), "", BODY)
        lines = lay_out("outputs: dict[str, Tensor] = ", Call("", tuple(pairs), "{}"), "", BODY)
        for number, output in enumerate(first[at:], at):
            assigned = f"outputs[{quoted(output.name)}] = {self.names[output.value]}"
            if output.training_only and not first[number - 1].training_only:
                lines.append(f"{margin}if self.training:")
            lines.append(f"{margin}{'    ' if output.training_only else ''}{assigned}")
        return [*lines, f"{margin}return outputs"]


def _split(text: str) -> list[str]:
    """The arguments of a call, divided at commas that are not in brackets."""
    found, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found]
