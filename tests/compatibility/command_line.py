"""The command line as users run it, in this process: `python -m resnet_spec` with its arguments, output and exit code.

It goes through the program's own entry and not through a module inside the package, so it also covers how errors that no
command catches become exit codes.
"""

from __future__ import annotations

import io
import json
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def findings(self) -> list[str]:
        """Severity and code of each finding of `--message-format json`, sorted; they may stand among other lines."""
        found: list[str] = []
        for text in (self.stdout, self.stderr):
            for document in _documents(text):
                found += [f"{each['severity']} {each['code']}" for each in document.get("diagnostics", ())]
        return sorted(found)

    def json(self) -> dict[str, Any]:
        """The document on standard output."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


def run(*arguments: str, stdin: bytes = b"") -> Done:
    """Run a command in the working directory. An exception that the program lets through fails the test."""
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin, b"", b"")]
    sys.argv = ["resnet-spec", *arguments]
    sys.stdin, sys.stdout, sys.stderr = streams
    code = 0
    try:
        runpy.run_module("resnet_spec", run_name="__main__")
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before
    return Done(code, *(_text(stream) for stream in streams[1:]))


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Within another working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "backslashreplace")


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON mappings in a text that begin at the start of a line."""
    decoder = json.JSONDecoder()
    at = 0
    while (start := text.find("{", at)) >= 0:
        at = start + 1
        if start and text[start - 1] != "\n":
            continue
        try:
            found, at = decoder.raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
