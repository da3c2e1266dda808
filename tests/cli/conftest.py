"""Running the command line: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_spec.cli import main

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

    def here(self, *arguments: str) -> Done:
        """The same in this process, which takes milliseconds."""
        stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["resnet-spec", *arguments])
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            with pytest.raises(SystemExit) as ended:
                main()
        for stream in (stdout, stderr):
            stream.flush()
        assert isinstance(ended.value.code, int)
        return Done(list(arguments), ended.value.code, stdout.buffer.getvalue(), stderr.buffer.getvalue())

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return name


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)
