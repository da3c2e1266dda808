"""Values of another form than the language has: lists for mappings, numbers for operations, texts for numbers."""

from __future__ import annotations

import re
from itertools import islice

from resnet_spec.diagnostics import Span
from resnet_spec.diagnostics.arguments import likely_size
from resnet_spec.language.editing import Edits, is_flow, replace_text, replace_value
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.restructuring import item_names, name_items

_PARTS = ("stem", "stages", "head", "branch", "shortcut", "after", "ops")
MOST_CHARACTERS = 40  # of a number of classes
_COUNT = re.compile(r"([0-9]{1,3}(?:[,.'][0-9]{3})+|[0-9]+(?:\.[0-9]+)?)\s*([km]?)\s*[A-Za-z]*", re.IGNORECASE)


def explain_form(node: YamlNode, key: Span, name: str, root: YamlNode) -> tuple[str, Fixes] | None:
    """The help for a value of the wrong form, and its fixes; None if there is no idea."""
    path = name.split(".")
    last = path[-1]
    if isinstance(node, SequenceNode) and last in _PARTS:
        word = "layer" if last == "stages" else "op"
        names = item_names(node, word)
        if all(isinstance(item, MappingNode) and len(item.entries) == 1 and not label for item, label in _pairs(node, names)):
            return "remove the dashes", propose("remove the dashes", name_items(node, names))
        shown = [label for label in names if label][:3]
        help = f"give each entry a name in the place of its dash or bracket: `{shown[0]}: ...`"
        return help, propose(f"name the entries: `{'`, `'.join(shown)}`, ...", name_items(node, names))
    if isinstance(node, MappingNode) and last == "args":
        names = list(node.entries)
        help = f"list the names of the required arguments: `args: [{', '.join(names)}]`; default values go into `defaults`"
        return help, propose("write `defaults`: these are arguments with default values", replace_text(key, "defaults"))
    if isinstance(node, MappingNode) and name == "input":
        return _size(node)
    if isinstance(node, MappingNode) and {key.lower() for key in node.entries} in ({"height", "width"}, {"h", "w"}):
        sizes = {key.lower()[0]: entry.value for key, entry in node.entries.items()}
        if all(isinstance(each, ScalarNode) and isinstance(each.value, int) for each in sizes.values()):
            text = f"[{', '.join(each.text for each in (sizes['h'], sizes['w']) if isinstance(each, ScalarNode))}]"
            help = f"write a list of height and width: `{last}: {text}`"
            return help, propose(help, replace_value(node, text), "safe")
    if name == "classes":
        return _classes(node)
    if name == "weights":
        help = "a spec only says where weights are published: `weights: {torchvision: ResNet50_Weights.IMAGENET1K_V2}`"
        return f"{help}; `build --weights FILE` and `train --weights FILE` load some", ()
    if isinstance(node, ScalarNode) and isinstance(node.value, float) and len(path) == 2 and path[0] in ("stem", "head"):
        return _dropout(node, last, root, path[0])
    if isinstance(node, ScalarNode) and name in ("stages.width", "stages.depth", "stages.stride", "stages.block"):
        return "a stage needs a name: `stages: {layer1: {width: 64, depth: 2}}`", ()
    if isinstance(node, SequenceNode) and len(path) == 2 and path[0] == "stages":
        return _positional(node, last)
    if isinstance(node, MappingNode) and "op" in node.entries and len(path) == 3 and path[0] == "stages":
        return (
            f"a stage consists of blocks: define one with this branch in `blocks`, and name it: `{path[1]}: {{block: NAME}}`",
            (),
        )
    return None


def _pairs(node: SequenceNode, names: list[str]) -> list[tuple[YamlNode, str]]:
    return list(zip(node.items, names, strict=True))


def _size(node: MappingNode) -> tuple[str, Fixes] | None:
    """An input size as a mapping: `{channels: 3, height: 224, width: 224}`."""
    numbers: list[int] = []
    for names in (("channels", "c", "in_channels", "depth"), ("height", "h", "size"), ("width", "w")):
        found = next((entry.value for key, entry in node.entries.items() if key.lower() in names), None)
        if isinstance(found, ScalarNode) and isinstance(found.value, int):
            numbers.append(found.value)
    if not numbers:
        return None
    text = "x".join(map(str, likely_size(numbers)))
    help = f"write channels x height x width in pixels: `input: {text}`"
    return help, propose(help, replace_value(node, text) if is_flow(node) else (), "safe")


def _classes(node: YamlNode) -> tuple[str, Fixes]:
    """The number of classes as a text, or as the list of their names."""
    if isinstance(node, SequenceNode):
        help = f"`classes` is their number: write `classes: {len(node.items)}`; their names come from the data"
        return help, propose(help, replace_value(node, str(len(node.items))))
    text = node.text.strip() if isinstance(node, ScalarNode) else ""
    found = _COUNT.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    help = "`classes` is their number, such as `classes: 1000`"
    if found is None:
        return help, ()
    digits = re.sub(r"[,.'](?=[0-9]{3})", "", found[1])
    number = round(float(digits) * {"k": 1000, "m": 1_000_000}.get(found[2].lower(), 1))
    return f"write `classes: {number}`", propose(f"write `classes: {number}`", replace_value(node, str(number)), "safe")


def _dropout(node: ScalarNode, name: str, root: YamlNode, part: str) -> tuple[str, Fixes] | None:
    """A rate in the place of an operation: `dropout: 0.5`."""
    if "drop" not in name.lower():
        return None
    text = f"{{op: dropout, p: {node.text}}}"
    entries = root.get(part) if isinstance(root, MappingNode) else None
    last = [*islice(reversed(entries.entries), 2)] if isinstance(entries, MappingNode) else []
    fixes: Fixes = ()
    if part == "head" and isinstance(entries, MappingNode) and len(last) == 2 and last[0] == name:
        placed = f"{{op: dropout, p: {node.text}, insert_before: {last[1]}}}"
        if entries.entries[last[1]].key.source is not node.span.source:
            text = placed
    help = f"write `{name}: {text}`"
    edits: Edits = replace_value(node, text)
    return help, fixes + propose(help, edits)


def _positional(node: SequenceNode, name: str) -> tuple[str, Fixes]:
    """A stage as a list of numbers, as in torchvision's tables of (width, depth, stride)."""
    numbers = [item.text for item in node.items if isinstance(item, ScalarNode) and isinstance(item.value, int)]
    if not 1 < len(numbers) <= 3 or len(numbers) != len(node.items):
        return "name its fields: `{width: 64, depth: 2}`", ()
    fields = ("width", "depth", "stride")
    written = ", ".join(f"{field}: {number}" for field, number in zip(fields, numbers, strict=False))
    help = f"name its fields: `{name}: {{{written}}}`"
    return help, propose(help, replace_value(node, f"{{{written}}}"))
