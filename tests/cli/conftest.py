"""Running the command line: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[bytes]


class Shell:
    """Runs `python -m resnet_spec` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, input: bytes = b"", **environment: str) -> Done:
        repository = str(Path(__file__).parent.parent.parent)
        return subprocess.run(
            [sys.executable, "-m", "resnet_spec", *arguments],
            input=input,
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": repository, **environment},
            check=False,
        )

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return name


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)
