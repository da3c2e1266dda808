"""Arguments of the Python functions: what is accepted, and one clear error for everything else.

A value is either understood, and returned in its usual form, or refused with an `ArgumentError` that lists what is accepted.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from reprlib import Repr
from typing import TypeVar

from resnet_spec.diagnostics.errors import ArgumentError
from resnet_spec.diagnostics.model import Diagnostic
from resnet_spec.diagnostics.suggestions import closest
from resnet_spec.diagnostics.text import join_words, printable

Choice = TypeVar("Choice", bound=str)
MAX_SIDE = 999_999_999  # pixels, or channels
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 60


def wrong_argument(message: str, help: str = "") -> ArgumentError:
    """The error for an argument that is not accepted."""
    return ArgumentError([Diagnostic("invalid-argument", message, None, help=help)])


def quote(value: object) -> str:
    """A value as it is written in Python, made safe for a terminal; a long one is shortened in the middle."""
    try:
        return printable(_REPR.repr(value))
    except ValueError:  # an int of thousands of digits
        return f"a value of type {type(value).__name__}"


def require_choice(
    name: str, value: object, choices: Sequence[Choice], synonyms: dict[str, str] | None = None, optional: bool = False
) -> Choice:
    """Return `value` if it is one of `choices`.

    Args:
        name: what the argument is called, for the message.
        synonyms: other words for a choice, which are suggested and not accepted.
        optional: whether the message also lists None, which the caller handles.

    Raises:
        ArgumentError: lists all choices, and suggests the closest one if any is close.
    """
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    accepted = join_words([*(f"`{choice}`" for choice in choices), *(["None"] if optional else [])], "or")
    near = closest(value, choices, synonyms) if isinstance(value, str) else None
    raise wrong_argument(f"`{name}` takes {accepted}, not {quote(value)}", f"did you mean `{near}`?" if near else "")


def require_choices(
    name: str, values: object, choices: Sequence[Choice], synonyms: dict[str, str] | None = None
) -> tuple[Choice, ...]:
    """Return `values` if each is one of `choices`; they are an iterable, or a comma-separated string.

    Raises:
        ArgumentError: as `require_choice`.
    """
    if isinstance(values, str):
        values = [part.strip() for part in values.split(",") if part.strip()]
    if isinstance(values, bytes | Mapping) or not isinstance(values, Iterable):
        listed = ", ".join(f"`{choice}`" for choice in choices)
        raise wrong_argument(f"`{name}` takes any of {listed}, not {quote(values)}", f'for example {name}=["{choices[0]}"]')
    return tuple([require_choice(name, value, choices, synonyms) for value in values])


def as_integer(value: object) -> int | None:
    """`value` as an int if it is an int or an integer of another library, such as numpy; None otherwise, also for booleans."""
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def require_size(value: object, name: str = "input") -> tuple[int, int, int]:
    """Return the size of an image, (C, H, W), given as `"3x224x224"` or as three integers.

    Raises:
        ArgumentError: suggests the size that was most likely meant.
    """
    text = value.strip() if isinstance(value, str) else None
    if text is not None:
        found = re.fullmatch(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8})*", text)
        numbers = [int(part) for part in text.split("x")] if found else []
    else:
        numbers = _integers(value)
    if len(numbers) == 3 and all(0 < number <= MAX_SIDE for number in numbers):
        return numbers[0], numbers[1], numbers[2]
    if text is not None:
        example = "x".join(map(str, likely_size(numbers)))
        message = f"`{printable(str(value))}` is not a size"
        help = f"write channels x height x width in pixels: `{example}`"
    else:
        message = f"`{name}` takes three integers, channels, height and width in pixels, not {quote(value)}"
        help = f"for example {name}={likely_size(numbers)}"
    raise ArgumentError([Diagnostic("invalid-input", message, None, help=help)])


def _integers(value: object) -> list[int]:
    """The integers in a value; an empty list if it contains anything else."""
    one = as_integer(value)
    if one is not None:
        return [one]
    if isinstance(value, bytes | Mapping | set | frozenset) or not isinstance(value, Iterable):
        return []
    try:
        found = [as_integer(each) for each in value]
    except TypeError:  # an array without axes
        return []
    return [each for each in found if each is not None] if None not in found else []


def likely_size(numbers: Sequence[int]) -> tuple[int, int, int]:
    """The size (C, H, W) that was most likely meant by some integers."""
    match [number for number in numbers if 0 < number <= MAX_SIDE]:
        case [side] if len(numbers) == 1:
            return 3, side, side
        case [1 | 3 as channels, side] if len(numbers) == 2 and side > 4:
            return channels, side, side
        case [height, width] if len(numbers) == 2:
            return 3, height, width
        case [height, width, 1 | 3 as channels] if len(numbers) == 3 and height > channels:  # with the channels last
            return channels, height, width
        case [channels, height, width] if len(numbers) == 3:
            return channels, height, width
        case [_, channels, height, width] if len(numbers) == 4:  # with a batch
            return channels, height, width
        case _:
            return 3, 224, 224


def require_height_and_width(value: object) -> tuple[int, int]:
    """Return the height and width of an image in pixels, given as two integers, or as one for a square.

    Raises:
        ArgumentError: for anything else, such as a size with channels.
    """
    numbers = _integers(value)
    if len(numbers) == 1 and as_integer(value) is not None:
        return numbers[0], numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    message = f"accepted sizes are (height, width) in pixels, or one integer for a square, not {quote(value)}"
    help = f"leave out the channels: {tuple(numbers[-2:])}" if len(numbers) in (3, 4) else "for example (224, 224)"
    raise ArgumentError([Diagnostic("invalid-input", message, None, help=help)])


def require_patches(value: object, name: str = "set") -> list[str]:
    """Return patches as a list of `key.path=value`, given as one string, an iterable, or a mapping of key paths to values.

    The values of a mapping are Python data: `{"stages.layer3.depth": 23}`; None deletes the key.

    Raises:
        ArgumentError: for anything else.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [_patch(key, each, name) for key, each in value.items()]
    example = f'for example {name}=["classes=5"] or {name}={{"classes": 5}}'
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise _wrong_patch(f"`{name}` takes patches such as `classes=5`, not {quote(value)}", example)
    patches = list(value)
    for patch in patches:
        if not isinstance(patch, str):
            raise _wrong_patch(f"each patch of `{name}` is a string such as `classes=5`, not {quote(patch)}", example)
    return patches


def _patch(key: object, value: object, name: str) -> str:
    if not isinstance(key, str) or "=" in key:
        help = f'for example {name}={{"stages.layer3.depth": 23}}'
        raise _wrong_patch(f"the keys of `{name}` are key paths such as `stages.layer3.depth`, not {quote(key)}", help)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong_patch(f"the value of `{printable(key)}` in `{name}` cannot be written as YAML: {error}", "") from None
    # Characters that JSON allows unescaped and YAML does not can only be inside strings, where both have escapes.
    return f"{key}=" + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _plain(value: object) -> object:
    """A value that the JSON encoder does not support, such as a numpy scalar, as plain Python data."""
    if isinstance(value, Mapping):
        return dict(value)
    if callable(tolist := getattr(value, "tolist", None)):
        plain: object = tolist()
        return plain
    raise TypeError(f"{quote(value)} is not a number, string, boolean, list or mapping")


def _wrong_patch(message: str, help: str) -> ArgumentError:
    return ArgumentError([Diagnostic("set-syntax", message, None, help=help)])
