"""Writes a merged document as one YAML text, without `extends` or aliases, that is independent of later changes to the library.

Reading the text results in the same values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.language.merge import Resolved
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode, to_data


class _Dumper(yaml.SafeDumper):
    """Quotes strings that `reader` would read as something else; PyYAML follows YAML 1.1."""


def _text(dumper: Any, text: str) -> Any:
    doubtful = text[:1].isdigit() or text[:1] in ("+", "-", ".", "~") or text.lower() in ("null", "true", "false")
    doubtful = doubtful or not text.isprintable()  # YAML has more kinds of line breaks
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if doubtful else None)


_Dumper.add_representer(str, _text)


def write_document(root: MappingNode) -> str:
    """Write a tree as YAML; short collections are on one line."""
    return _dump(to_data(root), None, 120)


def write_data(data: dict[str, object]) -> str:
    """Write plain data as a YAML document; short collections are on one line."""
    return _dump(data, None, 120)


def write_value(value: object) -> str:
    """Write a value as it appears after a key, on one line."""
    return _dump(value, True, float("inf")).removesuffix("\n").removesuffix("\n...")


def _dump(data: object, flow: bool | None, width: float) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width)
    return text


def write_spec(resolved: Resolved, name: str) -> str:
    """Write a resolved spec as one document, under `name` and without `expect`, which is about the original file."""
    root = to_data(resolved.root)
    assert isinstance(root, dict)
    root = {"spec": 1, "name": name, **{key: value for key, value in root.items() if key not in ("spec", "name", "expect")}}
    bodies = list_bodies(resolved)
    if bodies:
        root["blocks"] = {word: to_data(body) for word, body in bodies.items()}
    return _dump(root, None, 120)


def list_bodies(resolved: Resolved) -> dict[str, MappingNode]:
    """The bodies of the blocks that a flat document needs.

    A block that patches a library block is also used by other library blocks, so those are included.
    """
    bodies = {block.name: block.body for block in resolved.blocks.values()}
    if any(block.everywhere for block in resolved.blocks.values()):
        pending = [resolved.root, *bodies.values()]
        while pending:
            for word in _strings(pending.pop()):
                if word in library_block_names() and word not in bodies:
                    body = library_block(word)
                    assert body is not None
                    bodies[word] = body
                    pending.append(body)
    return bodies


def _strings(node: YamlNode) -> Iterator[str]:
    """Every string of a tree, including the names of the blocks that it uses."""
    match node:
        case ScalarNode():
            if isinstance(node.value, str):
                yield node.value
        case SequenceNode():
            for item in node.items:
                yield from _strings(item)
        case MappingNode():
            for entry in node.entries.values():
                yield from _strings(entry.value)
