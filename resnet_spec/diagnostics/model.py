"""What the compiler tells its user: places in source text, and findings at those places.

Goes in: nothing. Comes out: `Source`, `Span`, `Diagnostic`, `SpecError`. Every other part of the package may use this module,
and it uses none of them. How a diagnostic is shown is the business of `rendering`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]
Origin = Literal["spec", "library", "command line"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One text that was read: a file, standard input, a dict, or a `--set` argument.

    `name` is what the user calls it. `origin` says whose words these are: a finding inside a library block is told at the
    line of the user's file that used the block. `data`: the text is JSON with an indent of 2, made of what was given as Python
    data, so its lines are nobody's.
    """

    name: str
    text: str = field(repr=False)
    origin: Origin = "spec"
    data: bool = False

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line break; empty past the end."""
        lines = _lines(self)
        return lines[number - 1] if 0 < number <= len(lines) else ""


@lru_cache(maxsize=4)
def _lines(source: Source) -> list[str]:
    """The lines of a source, split once: thousands of findings each ask for theirs."""
    return source.text.removeprefix("\ufeff").splitlines()  # a byte order mark stands in no column


@lru_cache(maxsize=4)
def _paths(source: Source) -> list[str]:
    """For each line of a JSON text, the way to the entry on it: `stem.conv1.kernel_size[0]`."""
    names: list[str] = []  # of the entries around, from the outermost on
    found = []
    for line in _lines(source):
        text = line.lstrip(" ")
        depth = (len(line) - len(text)) // 2
        before = names[depth - 1] if 0 < depth <= len(names) else ""
        del names[depth:]
        if depth and text[0] not in "]}":
            key = re.match(r'"((?:[^"\\]|\\.)*)": ', text)
            names[depth - 1 :] = [key[1] if key else f"[{int(before[1:-1]) + 1 if before else 0}]"]
        found.append(".".join(names).replace(".[", "["))
    return found


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source. Lines and columns count from 1, in characters; the end column is the first one outside."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int
    anchor: Span | None = None  # for a value that came through a YAML alias: where its anchor stands

    def __str__(self) -> str:
        if self.source.data:
            path = _paths(self.source)[self.line - 1]
            return f"{self.source.name}: {path}" if path else self.source.name
        return f"{self.source.name}:{self.line}:{self.column}"

    def within(self, start: int, stop: int) -> Span:
        """The part from character `start` up to `stop`, for a span that lies on one line."""
        return Span(self.source, self.line, self.column + start, self.line, self.column + stop, self.anchor)

    def meets(self, other: Span) -> bool:
        """Whether two places have a character in common."""
        return (
            self.source is other.source
            and (self.line, self.column) < (other.end_line, other.end_column)
            and (other.line, other.column) < (self.end_line, self.end_column)
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place, and what it has to do with the finding."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is a stable kebab-case word; `help` is something the author can type.

    `span` is None only for findings about no text at all, such as a file that is missing from the command line.
    """

    code: str
    message: str
    span: Span | None
    label: str = ""
    related: tuple[Label, ...] = ()
    help: str = ""
    notes: tuple[str, ...] = ()
    severity: Severity = "error"


class ResnetSpecError(Exception):
    """Something the user can correct. Holds every independent finding, errors and warnings alike, in source order.

    The class says what is wrong, and `exit_code` is the exit code of the command line for it: 1 where a text or data are wrong,
    2 where an argument is, or where a file cannot be read or written.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        listed = list(diagnostics)
        sources = list(dict.fromkeys(finding.span.source for finding in listed if finding.span is not None))
        order = {source: number for number, source in enumerate(sources)}

        def place(finding: Diagnostic) -> tuple[int, int, int]:
            span = finding.span
            return (-1, 0, 0) if span is None else (order[span.source], span.line, span.column)

        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(listed, key=place))
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        """Each finding on a line, followed by its notes and its help."""
        lines = []
        for d in self.diagnostics:
            place = f"{d.span}: " if d.span else ""
            label = f" ({d.label})" if d.label else ""
            lines.append(f"{place}{d.severity}[{d.code}]: {d.message}{label}")
            lines += [f"  note: {note}" for note in d.notes] + ([f"  help: {d.help}"] if d.help else [])
        return "\n".join(lines)


class SpecError(ResnetSpecError):
    """A spec is wrong, or the network it describes is: form, names, shapes, its own `expect`, or a size it does not accept."""


class RecipeError(ResnetSpecError):
    """A recipe is wrong, or does not fit the network or the data."""


class DataError(ResnetSpecError):
    """A data set or an image is wrong: its layout, its labels, a damaged file, or classes that are not the network's."""


class WeightsError(ResnetSpecError):
    """A file of weights or a checkpoint is damaged, or belongs to another network."""


class TrainingError(ResnetSpecError):
    """A run cannot go on: it diverged, does not fit into memory, or is not as its folder says."""


class ArgumentError(ResnetSpecError, ValueError):
    """An argument of a command or a function is wrong, or names a file that is missing or cannot be read or written."""

    exit_code: ClassVar[int] = 2


def closest(word: str, known: Iterable[str], synonyms: dict[str, str] | None = None) -> str | None:
    """The known word that `word` most likely stands for, by the field's synonyms first and by spelling second."""
    choices = list(known)
    if synonyms and synonyms.get(word.lower()) in choices:
        return synonyms[word.lower()]
    lowered = {choice.lower(): choice for choice in choices}
    import difflib  # only a spec with a mistake needs it

    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def suggestion(word: str, known: Sequence[str], synonyms: dict[str, str] | None = None, most: int = 12) -> str:
    """A help line for an unknown word: the closest known one, else all of them while they are few."""
    if (near := closest(word, known, synonyms)) is not None:
        return f"did you mean `{near}`?"
    if not known or not most:
        return ""
    shown = ", ".join(f"`{choice}`" for choice in known[:most])
    return f"known here: {shown}" + (f", and {len(known) - most} more" if len(known) > most else "")


SYNONYMS: dict[str, str] = {
    "filters": "out_channels",
    "planes": "out_channels",
    "channels": "out_channels",
    "num_filters": "out_channels",
    "features": "out_features",
    "units": "out_features",
    "kernel": "kernel_size",
    "ksize": "kernel_size",
    "strides": "stride",
    "pad": "padding",
    "pads": "padding",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "blocks": "depth",
    "repeats": "depth",
    "num_blocks": "depth",
    "inplanes": "in_channels",
    "conv": "conv2d",
    "convolution": "conv2d",
    "bn": "batch_norm",
    "batchnorm": "batch_norm",
    "batch_norm2d": "batch_norm",
    "batchnorm2d": "batch_norm",
    "ln": "layer_norm",
    "gn": "group_norm",
    "swish": "silu",
    "fc": "linear",
    "dense": "linear",
    "maxpool": "max_pool2d",
    "max_pool": "max_pool2d",
    "avgpool": "avg_pool2d",
    "avg_pool": "avg_pool2d",
    "global_avg_pool": "adaptive_avg_pool2d",
    "gap": "adaptive_avg_pool2d",
    "num_classes": "classes",
    "cat": "concat",
    "mul": "multiply",
    "sum": "add",
    **dict.fromkeys(("flip", "hflip", "horizontal_flip", "random_flip"), "random_horizontal_flip"),
    "crop": "random_crop",
}
