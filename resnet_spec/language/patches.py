"""Patches from the command line: `--set stages.layer3.depth=23` and `--set-recipe optimizer.lr=0.05`."""

from __future__ import annotations

from typing import Literal

from resnet_spec.diagnostics import ArgumentError, Diagnostic, DocumentKind, Source, Span
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, YamlNode
from resnet_spec.language.reader import parse

PatchOption = Literal["--set", "--set-recipe"]
_KINDS: dict[PatchOption, DocumentKind] = {"--set": "spec", "--set-recipe": "recipe"}
_EXAMPLES: dict[PatchOption, str] = {"--set": "stages.layer1.depth=4", "--set-recipe": "optimizer.lr=0.05"}


def parse_set(text: str, below: tuple[str, ...] = (), option: PatchOption = "--set") -> MappingNode:
    """Parse `stages.layer3.depth=23` as a patch. The value is YAML; an empty value deletes the key.

    Args:
        below: keys that are prepended to a path of a single key.

    Raises:
        ArgumentError: `text` is not of the form `key.path=value`.
        SpecError, RecipeError: the value is not YAML.
    """
    source = Source(option, text, "command line")
    path, equals, value = text.partition("=")
    keys = path.split(".")
    whole = Span(source, 1, 1, 1, len(text) + 1)
    if not equals or not all(key.strip() == key and key for key in keys):
        message, help = f"`{option}` takes key.path=value", f"for example `{option} {_EXAMPLES[option]}`"
        raise ArgumentError([Diagnostic("set-syntax", message, whole, help=help)])
    node: YamlNode = ScalarNode(None, whole.within(len(path), len(text)), "")
    if value.lstrip().startswith("#"):
        message = f"`{option}` takes key.path=value, but YAML reads this value as a comment"
        help = "put the value in quotes twice: 'key=\"#value\"'"
        raise ArgumentError([Diagnostic("set-syntax", message, whole, help=help)])
    if value.strip():
        node, _ = parse(source, " " * (len(path) + 1) + value, _KINDS[option])
    stop = len(path)
    for key in reversed(keys):
        start = stop - len(key)
        node = MappingNode({key: Entry(whole.within(start, stop), node)}, whole)
        stop = start - 1
    for key in reversed(below if len(keys) == 1 else ()):
        node = MappingNode({key: Entry(whole, node)}, whole)
    assert isinstance(node, MappingNode)
    return node
