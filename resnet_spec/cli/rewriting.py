"""Changing the files that `check` was given: which may be changed, and writing them."""

from __future__ import annotations

from pathlib import Path

from resnet_spec._system.files import write_atomically
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.language.library import shipped_root

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def require_editable(name: str, purpose: str) -> Path:
    """The path of a file that may be changed, with links followed; raises ArgumentError for anything else.

    Args:
        purpose: what is done to the file, for the help: "fixed".
    """
    path = Path(name)
    why, help = "", f"name the file that is to be {purpose}"
    if name == "-":
        why = "standard input cannot be changed"
    elif not path.is_file():
        why = f"{printable(name)} is not a file of yours"
        help = help if path.exists() else "write a file that extends a shipped spec: `extends: NAME`"
    elif any(path.resolve().is_relative_to(shipped_root(kind).resolve()) for kind in ("spec", "recipe")):
        why, help = f"{printable(name)} is shipped with resnet-spec, and is not changed", "write a file that extends it"
    elif (path.parent / "run.json").exists():
        why = f"{printable(name)} belongs to a run, whose files are not changed"
        help = "change the spec that the run was made from, and train again"
    if why:
        raise ArgumentError([Diagnostic("not-editable", why, None, help=help)])
    return path.resolve()


def replace_text(path: Path, read: bytes, text: str) -> None:
    """Write a text in the place of what was `read`, with its byte order mark and permissions; raises ArgumentError.

    Nothing is written if the file changed since it was read.
    """
    mark = _BYTE_ORDER_MARK if read.startswith(_BYTE_ORDER_MARK) else b""
    try:
        if path.read_bytes() != read:
            message = f"{printable(str(path))} changed while it was checked, and was left as it is"
            raise ArgumentError([Diagnostic("not-editable", message, None, help="run the command again")])
        write_atomically(path, mark + text.encode("utf-8"), durable=True, keep_mode=True)
    except OSError as error:
        message = f"cannot write {printable(str(path))}: {error.strerror or error}"
        help = "allow writing to the file and its folder"
        raise ArgumentError([Diagnostic("unwritable-file", message, None, help=help)]) from None
