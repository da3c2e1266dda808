"""The names of a network's classes: from a file, and as those of a data set."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_spec._system.files import require_regular
from resnet_spec.data import Data, Split
from resnet_spec.data.class_names import find_near_miss
from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.diagnostics.text import count_text, quote_first

NAMED = "`--classes FILE` names the classes of the network in their order, one a line"
_MOST_BYTES = 16 << 20
_WORDNET = re.compile(r"n\d{8}")
_IMAGENET = 1000
# The first and the last of ImageNet's classes in the order of all published weights: WordNet number, and name.
_FIRST, _LAST = ("n01440764", "tench"), ("n15075141", "toilet tissue")


def require_classes(classes: object) -> tuple[str, ...] | None:
    """Return names of classes, given as a list of them or as the path of a file with one a line or a JSON list.

    Raises ArgumentError.
    """
    if classes is None:
        return None
    if isinstance(classes, str | Path):
        return _read(Path(classes))
    if isinstance(classes, bytes) or not isinstance(classes, Iterable):
        raise wrong_argument(f"`classes` takes the names of classes, or a file of them, not {quote(classes)}")
    names = list(classes)
    if not names or not all(isinstance(name, str) for name in names):
        wrong = next((name for name in names if not isinstance(name, str)), names)
        raise wrong_argument(f"`classes` takes the names of classes, not {quote(wrong)}")
    return make_distinct(names)


def _read(path: Path) -> tuple[str, ...]:
    shown = printable(str(path))
    try:
        size = require_regular(path).stat().st_size
        text = path.read_bytes().decode("utf-8-sig") if size <= _MOST_BYTES else ""
    except UnicodeDecodeError:
        raise _refuse(f"{shown} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refuse(f"cannot read the classes in {shown}: {printable(why)}") from None
    if size > _MOST_BYTES:
        raise _refuse(f"{shown} has {size:,} bytes: it is no list of classes")
    if text.lstrip()[:1] in ("[", "{"):
        try:
            names = json.loads(text)
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _refuse(f"{shown} is no JSON list of names")
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise _refuse(f"{shown} names no classes")
    return make_distinct(names)


def _refuse(message: str) -> ArgumentError:
    help = "write the name of a class on each line, in the order of the network, or all of them as a JSON list"
    return ArgumentError([Diagnostic("unreadable-file", message, None, help=help)])


def make_distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of which several may be equal, as `crane` and `maillot` in ImageNet, with their numbers where they are."""
    counts = Counter(names)
    return tuple(f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names))


def number_classes(count: int) -> tuple[str, ...]:
    """Names for classes of which nothing is known: `class 0` and so on."""
    return tuple(f"class {number}" for number in range(count))


def match_classes(data: Data, classes: tuple[str, ...], known: bool, network: str) -> tuple[Data, tuple[str, ...]]:
    """Renumber the labels of data in the order of the network's classes; and notes on what was assumed.

    Where these are not `known`, they are taken for those of the data, which must be as many. Raises DataError if the data have
    a class that the network lacks, or the number of classes differs.
    """
    if not known:
        return _take_over(data, len(classes), network)
    if data.classes == classes:
        return data, ()
    unknown = [name for name in data.classes if name not in classes]
    if not unknown:
        return _renumber(data, classes, [classes.index(name) for name in data.classes]), ()
    if _is_imagenet(data) and _begins_as_imagenet(classes):
        note = "the classes of the data are those of ImageNet under other names, and are matched by their position"
        return replace(data, classes=classes), (note,)
    message = f"the data have a class `{printable(unknown[0])}` that the network does not have"
    help = find_near_miss(unknown[0], classes) or f"its classes are {', '.join(map(printable, classes[:12]))}"
    if all(map(_WORDNET.fullmatch, data.classes)):
        help = f"{NAMED}: by WordNet numbers, as the data do; its classes are {', '.join(map(printable, classes[:3]))}, ..."
    raise DataError([Diagnostic("data-classes", message, None, help=help)])


def _take_over(data: Data, count: int, network: str) -> tuple[Data, tuple[str, ...]]:
    if len(data.classes) == count:
        if _is_imagenet(data):
            return data, ("the classes of the network are not known, and taken for ImageNet's in their usual order",)
        order = quote_first(data.classes)
        return data, (f"the classes of the network are not known, and taken for those of the data in their order: {order}",)
    has, values = count_text(len(data.classes), "class"), count_text(count, "value")
    message = f"the data have {has}, and {printable(network)} returns {values}; which of them are meant is not known"
    help = f"`train SPEC --weights FILE` trains the network for these classes; {NAMED}"
    raise DataError([Diagnostic("data-classes", message, None, help=help)])


def _renumber(data: Data, classes: tuple[str, ...], order: Sequence[int]) -> Data:
    numbers = np.array(order)

    def renumber(split: Split | None) -> Split | None:
        return None if split is None else replace(split, labels=numbers[split.labels])

    train, validation, test = map(renumber, (data.train, data.validation, data.test))
    return replace(data, classes=classes, train=train, validation=validation, test=test)


def _is_imagenet(data: Data) -> bool:
    """Whether the classes of data are the 1000 of ImageNet in the order of their WordNet numbers."""
    if len(data.classes) != _IMAGENET:
        return False
    ends = (data.classes[0], data.classes[-1]) == (_FIRST[0], _LAST[0])
    return data.kind == "imagenet" or (ends and all(map(_WORDNET.fullmatch, data.classes)))


def _begins_as_imagenet(classes: tuple[str, ...]) -> bool:
    """Whether the classes of a network are, by the first and the last one, ImageNet's in the order of published weights."""
    return len(classes) == _IMAGENET and all(
        name.lower().startswith(known) for name, known in zip((classes[0], classes[-1]), (_FIRST, _LAST), strict=True)
    )
