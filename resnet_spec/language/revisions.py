"""Files at revisions of a git repository: `HEAD~1:specs/a.yaml`.

Git runs without a shell, and prints the bytes of a file as they are in the repository: no filter and no text conversion is
applied to them, since a repository can configure programs for both. Nothing is fetched.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.text import shorten
from resnet_spec.language.files import PROJECT_MARKERS
from resnet_spec.language.reader import MAX_BYTES

SECONDS = 30.0  # that git may take
_PLAIN_FILES = (b"100644", b"100755")  # not links and not submodules


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of the repository around the folder `folder`. `word` is what the user calls it."""

    word: str
    commit: str
    folder: Path

    def name(self, path: str | PurePosixPath) -> str:
        """The name of a file in messages."""
        return f"{self.word}:{path}"

    def has(self, path: str | PurePosixPath) -> bool:
        """Whether there is a file at a path from the top of the repository. A link is none."""
        return _blob(self, str(path)) is not None

    def read(self, path: str | PurePosixPath) -> bytes | None:
        """The bytes of a file, of a large one only so many that this can be seen; None if there is none."""
        blob = _blob(self, str(path))
        return None if blob is None else _git(self.folder, ["cat-file", "blob", blob], MAX_BYTES + 1)

    def project(self, path: PurePosixPath) -> PurePosixPath:
        """The folder that `extends` may not leave, for a file: the nearest one with a `pyproject.toml`, or the top."""
        return next((each for each in path.parents if self.has(each / PROJECT_MARKERS[-1])), PurePosixPath("."))


@dataclass(frozen=True, slots=True)
class FileAtRevision:
    """A file: its revision, its path from the top of the repository, and its bytes."""

    revision: Revision
    path: PurePosixPath
    data: bytes


def find_at_revision(text: str) -> FileAtRevision:
    """Find the file that `REV:PATH` names. The path starts from the top of the repository, or, with `./`, from this folder.

    Raises:
        ArgumentError: there is no such revision or no such file, or git cannot be run.
    """
    word, _, path = text.partition(":")
    if word.startswith("-") or not word or not path or "\0" in text or "\n" in text:
        raise _refuse(f"`{shorten(text, 80)}` does not name a file at a revision", "write for example HEAD~1:specs/a.yaml")
    here = Path.cwd()
    found = _git(here, ["rev-parse", "--verify", "--quiet", f"{word}^{{commit}}"])
    if found is None:
        inside = _git(here, ["rev-parse", "--git-dir"]) is not None
        reason = "this repository has no such revision" if inside else "this folder is in no git repository"
        raise _refuse(f"there is no file or shipped spec {shorten(text, 80)}, and {reason}: {shorten(word, 60)}")
    revision = Revision(word, found.decode("ascii", "replace").strip(), here)
    if path.startswith(("./", "../")):
        prefix = os.fsdecode((_git(here, ["rev-parse", "--show-prefix"]) or b"").rstrip(b"\n"))
        path = posixpath.join(prefix, path)
    place = PurePosixPath(posixpath.normpath(path))
    data = revision.read(place)
    if data is None:
        help = "a path starts from the top of the repository; write `./` before one that starts from this folder"
        raise _refuse(f"there is no file {shorten(path, 80)} at {shorten(word, 60)}", help)
    return FileAtRevision(revision, place, data)


def _refuse(message: str, help: str = "") -> ArgumentError:
    return ArgumentError([Diagnostic("missing-file", printable(message), None, help=help)])


@lru_cache(maxsize=1024)
def _blob(revision: Revision, path: str) -> str | None:
    """The object of a plain file."""
    if path.startswith(("/", "..")) or "\0" in path:
        return None
    listed = _git(revision.folder, ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", revision.commit, "--", path])
    for line in (listed or b"").split(b"\0"):
        facts, _, name = line.partition(b"\t")
        fields = facts.split()
        if len(fields) == 3 and fields[0] in _PLAIN_FILES and name == os.fsencode(path):
            return fields[2].decode("ascii", "replace")
    return None


def _git(folder: Path, arguments: Sequence[str], most: int = -1) -> bytes | None:
    """What git prints, up to `most` bytes; None if it fails. Raises ArgumentError if it cannot be run, or takes too long."""
    import subprocess  # importing it takes time, and few commands need it
    import threading

    environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", *arguments]
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError as error:
        raise _refuse(f"git is needed for files at revisions, and cannot be run: {error.strerror or error}") from None
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    with process:
        try:
            assert process.stdout is not None
            data = process.stdout.read(most)
            if 0 <= most == len(data):
                process.kill()
                return data
        finally:
            timer.cancel()
    return data if process.returncode == 0 else None
