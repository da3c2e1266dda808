"""The layers that torch does not have, as text: the classes of `resnet_spec.ops.layers`, which are the same in every file."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files


@cache
def layer_sources() -> dict[str, str]:
    """The text of each class, by name."""
    text = files("resnet_spec.ops").joinpath("layers.py").read_text(encoding="utf-8")
    lines = text.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno is not None
            found[node.name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found
