"""The errors that the package raises for what a user can correct. Each holds its findings; its class sets the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from .model import Diagnostic, DocumentKind
from .text import printable


class ResnetSpecError(Exception):
    """The base of all errors about something the user can correct.

    `diagnostics` are the independent findings, errors and warnings, ordered by source and position. `exit_code` is the exit
    code of the command line: 1 where a spec, a recipe or data are wrong, 2 where an argument is wrong or a file cannot be read
    or written.
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
        """One line for each finding, followed by its notes and its help. Untrusted text is escaped."""
        lines = []
        for found in self.diagnostics:
            place = f"{found.span}: " if found.span else ""
            label = f" ({found.label})" if found.label else ""
            lines.append(f"{place}{found.severity}[{found.code}]: {found.message}{label}")
            lines += [f"  note: {note}" for note in found.notes] + ([f"  help: {found.help}"] if found.help else [])
        return "\n".join(map(printable, lines))


class SpecError(ResnetSpecError):
    """A spec is wrong, or the network it describes is: form, names, shapes, its own `expect`, or a size it does not accept."""


class RecipeError(ResnetSpecError):
    """A recipe is wrong, or does not fit the network or the data."""


class DataError(ResnetSpecError):
    """A data set or an image is wrong: its layout, its labels, a damaged file, or classes that the network does not have."""


class WeightsError(ResnetSpecError):
    """A file of weights or a checkpoint is damaged, or belongs to another network."""


class TrainingError(ResnetSpecError):
    """A run cannot continue: it diverged, does not fit into memory, or does not match its folder."""


class ArgumentError(ResnetSpecError, ValueError):
    """An argument of a command or a function is wrong, or names a file that is missing or cannot be read or written."""

    exit_code: ClassVar[int] = 2


def document_error(kind: DocumentKind) -> type[SpecError] | type[RecipeError]:
    """The class of errors about a kind of document."""
    return RecipeError if kind == "recipe" else SpecError
