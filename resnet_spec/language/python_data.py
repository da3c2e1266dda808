"""Converts a spec or a recipe given as Python data to YAML text, so that findings have places."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from resnet_spec.diagnostics import Diagnostic, DocumentKind, Source, document_error
from resnet_spec.diagnostics.text import shorten

_ACCEPTED = "dict, list, tuple, str, int, float, bool and None are accepted"
_JSON_ALONE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # JSON allows these in a string, and YAML does not
_MOST_SEARCHED = 50_000
_MOST_FINDINGS = 20


def from_data(data: object, name: str = "<dict>") -> Source:
    """Convert a document given as Python data to text: its JSON, which is YAML.

    A tuple is converted to a list, any mapping to a dict, and `"input": (3, 224, 224)` to `3x224x224`.

    Raises:
        SpecError, RecipeError: something in `data` has no counterpart in YAML.
    """
    if isinstance(data, Mapping) and isinstance(size := data.get("input"), tuple) and _is_size(size):
        data = {**data, "input": "x".join(map(str, size))}
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        kind: DocumentKind = "recipe" if isinstance(data, Mapping) and "recipe" in data and "spec" not in data else "spec"
        findings = _refused(data) or [Diagnostic("not-data", f"the data cannot be written as YAML: {error}", None)]
        raise document_error(kind)(findings) from None
    return Source(name, _JSON_ALONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), data=True)


def _is_size(size: tuple[object, ...]) -> bool:
    return len(size) == 3 and all(type(each) is int and each > 0 for each in size)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no counterpart")


def _refused(data: object) -> list[Diagnostic]:
    """A finding for each value or key that YAML cannot hold, with its path."""
    found: list[Diagnostic] = []
    pending: list[tuple[str, object]] = [("", data)]
    for _ in range(_MOST_SEARCHED):  # data may contain themselves
        if not pending or len(found) >= _MOST_FINDINGS:
            break
        path, value = pending.pop()
        match value:
            case Mapping():
                for key, inner in reversed(list(value.items())):
                    if isinstance(key, str | int):
                        pending.append((f"{path}.{key}" if path else str(key), inner))
                    else:
                        message = f"a key of {_quoted(path)} is of type {_type(key)}"
                        found.append(Diagnostic("not-data", message, None, help="keys are of type str"))
            case list() | tuple():
                pending += [(f"{path}[{number}]", item) for number, item in reversed(list(enumerate(value)))]
            case float() if not math.isfinite(value):
                help = "write a finite number, or a string"
                found.append(Diagnostic("not-data", f"{_quoted(path)} is {value}", None, help=help))
            case None | str() | int() | float():
                pass
            case _:
                message = f"{_quoted(path)} is of type {_type(value)}, which YAML cannot hold"
                found.append(Diagnostic("not-data", message, None, help=_help(value)))
    return found


def _quoted(path: str) -> str:
    return f"`{shorten(path, 80)}`" if path else "the data"


def _type(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _help(value: object) -> str:
    if isinstance(value, set | frozenset):
        return f"convert it to a list; {_ACCEPTED}"
    if hasattr(value, "tolist"):  # arrays, tensors and their numbers
        return f"convert it with `.tolist()`; {_ACCEPTED}"
    if hasattr(value, "__fspath__"):
        return f"convert it with `str(...)`; {_ACCEPTED}"
    return _ACCEPTED
