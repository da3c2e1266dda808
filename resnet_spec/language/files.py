"""Files of specs and recipes: reading them, their names in messages, and the folder that `extends` may not leave."""

from __future__ import annotations

from pathlib import Path

from resnet_spec.diagnostics import ArgumentError, Diagnostic, DocumentKind, Source, Span, document_error
from resnet_spec.language.library import shipped_root
from resnet_spec.language.reader import MAX_BYTES


def read_file(path: Path, name: str | None = None, kind: DocumentKind = "spec") -> Source:
    """Read a file as a source; a file that is too large is read only far enough to detect that.

    Raises:
        ArgumentError: the file cannot be read.
        SpecError, RecipeError: it is not UTF-8.
    """
    shown = name if name is not None else display_name(path)
    try:
        if path.is_dir():
            raise ArgumentError([Diagnostic("unreadable-file", f"{shown} is a folder, not a {kind}", None)])
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot read {shown}: {error.strerror or error}"
        raise ArgumentError([Diagnostic("unreadable-file", message, None)]) from None
    return decode(data, shown, kind)


def decode(data: bytes, name: str, kind: DocumentKind = "spec") -> Source:
    """Decode bytes as a source.

    Raises:
        SpecError, RecipeError: they are not UTF-8.
    """
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:
            return Source(name, data.decode("latin-1"))  # `parse` then rejects it as too large
        before = data[: error.start].decode("utf-8", "replace")
        source = Source(name, data.decode("utf-8", "replace"))
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"{name} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
        span = Span(source, line, column, line, column + 1)
        raise document_error(kind)([Diagnostic("not-utf-8", message, span, help="save the file as UTF-8")]) from None


def display_name(path: Path) -> str:
    """A path as the user would type it: relative to the working directory if it is inside."""
    try:
        return path.relative_to(Path.cwd()).as_posix() if path.is_absolute() else path.as_posix()
    except ValueError:
        return path.as_posix()


def spec_root(path: Path) -> Path:
    """The folder that `extends` may not leave, for the spec or recipe at `path`."""
    real, here = path.resolve(), Path.cwd().resolve()
    for root in (shipped_root().resolve(), shipped_root("recipe").resolve(), here):
        if real.is_relative_to(root):
            return root
    return real.parent
