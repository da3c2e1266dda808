"""Downloads a file of published weights: reported before it begins, checked by its hash, and never left half-written."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from resnet_spec._system.files import open_atomically
from resnet_spec.diagnostics import Diagnostic, WeightsError, printable
from resnet_spec.diagnostics.text import shorten

TIMEOUT = 30.0  # seconds without an answer
_CHUNK = 1 << 20  # bytes
_WIDTH = 24
_EVERY = 0.25  # seconds between updates of the bar


class DownloadError(WeightsError):
    """Published weights cannot be downloaded, or what was downloaded is not what was published."""


def announce(url: str, name: str, size: int | None) -> None:
    """Say on standard error what is about to be downloaded, from where, and how large it is."""
    shown = "size unknown" if size is None else size_text(size)
    print(f"download  {printable(name)} ({shown}) from {printable(host_of(url))}", file=sys.stderr, flush=True)


def size_text(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def host_of(url: str) -> str:
    """The host of an address, with its port if it has one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def download(url: str, target: Path, sha256: str) -> None:
    """Download a file to `target`, through a temporary file next to it. Its SHA-256 must begin with `sha256`.

    Raises:
        DownloadError: there is no network, the server refuses, the connection breaks off, or the hash is another one.
        OSError: the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    request = urllib.request.Request(url, headers={"User-Agent": "resnet-spec"})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        raise refuse_answer(url, target.name, f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise no_network(url, error) from None
    with answer:
        length = answer.headers.get("Content-Length", "")
        size = int(length) if length.isascii() and length.isdigit() else None
        announce(url, target.name, size)
        refuse_full_disk(target.parent, target.name, size, "TORCH_HOME")
        with open_atomically(target) as file:
            found = _copy(answer, file, url, size)
            if not found.startswith(sha256):
                message = f"{printable(target.name)} from {host_of(url)} is not the published file: "
                message += f"its SHA-256 begins with {found[: len(sha256)]}, not {sha256}; it was not kept"
                help = "try again; if it stays so, something between this machine and the server changes the file"
                raise DownloadError([Diagnostic("wrong-hash", message, None, help=help)])


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, url: str, size: int | None) -> str:
    """Copy an answer to a file, and return its SHA-256. Raises DownloadError if the connection breaks off."""
    digest, done, bar = hashlib.sha256(), 0, _Bar(size)
    try:
        while True:
            try:
                chunk = answer.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _broken(url, done, size, str(error)) from None
            if not chunk:
                break
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
            bar.show(done)
    finally:
        bar.clear()
    if size is not None and done != size:
        raise _broken(url, done, size, "the server closed the connection")
    return digest.hexdigest()


class _Bar:
    """A progress bar in one line of standard error; nothing if that is not a terminal."""

    def __init__(self, size: int | None) -> None:
        self.size, self.shown, self.terminal = size, 0, sys.stderr.isatty()
        self.began = self.drawn_at = time.monotonic()

    def show(self, done: int) -> None:
        now = time.monotonic()
        if not self.terminal or now - self.drawn_at < _EVERY:
            return
        self.drawn_at = now
        bar = of = ""
        if self.size:
            full = min(_WIDTH, _WIDTH * done // self.size)
            bar, of = f"[{'#' * full}{'.' * (_WIDTH - full)}] ", f" of {self.size / 1e6:,.1f}"
        facts = f"{bar}{done / 1e6:,.1f}{of} MB  {done / 1e6 / (now - self.began):,.1f} MB/s"
        print("\r" + facts.ljust(self.shown), end="", file=sys.stderr, flush=True)
        self.shown = max(self.shown, len(facts))

    def clear(self) -> None:
        if self.shown:
            print("\r" + " " * self.shown + "\r", end="", file=sys.stderr, flush=True)


def check_hash(path: Path, sha256: str) -> None:
    """Raise WeightsError unless the SHA-256 of a file begins with `sha256`. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        shown = f"{found[: max(8, len(sha256))]}, not {sha256}"
        message = f"{printable(str(path))} is not the published file: its SHA-256 begins with {shown}"
        help = "it is damaged, or was changed: delete it, and it is downloaded again"
        raise WeightsError([Diagnostic("wrong-hash", message, None, help=help)])


def no_network(url: str, error: Exception, help: str = "") -> DownloadError:
    """The error for a host that does not answer."""
    reason = getattr(error, "reason", None) or str(error).partition("\n")[0]
    why = f" ({shorten(str(reason), 100)})" if reason else ""
    message = f"no network: cannot reach {printable(host_of(url))}{why}"
    help = help or f"where there is a network, download {printable(url)}, and name the file: `--weights FILE`"
    return DownloadError([Diagnostic("download-failed", message, None, help=help)])


def refuse_answer(url: str, name: str, answer: str) -> DownloadError:
    """The error for a server that answers, and does not give the file."""
    message = f"{printable(host_of(url))} does not give `{printable(name)}`: {printable(answer)}"
    help = "try again later; or name a file that you have: `--weights FILE`"
    return DownloadError([Diagnostic("download-failed", message, None, help=help)])


def _broken(url: str, done: int, size: int | None, why: str) -> DownloadError:
    of = "" if size is None else f" of {size:,}"
    message = f"the download from {host_of(url)} broke off after {done:,}{of} bytes: {printable(why)}; nothing was kept"
    return DownloadError([Diagnostic("download-failed", message, None, help="try again")])


def refuse_full_disk(folder: Path, name: str, size: int | None, variable: str) -> None:
    """Raise DownloadError if a folder has no room for a file. `variable` moves the folder; it need not exist yet."""
    free = shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.is_dir())).free
    if size is not None and size > free:
        message = f"{printable(name)} has {size:,} bytes, and {free:,} are free in {printable(str(folder))}"
        help = f"make room; or set the variable {variable} to a folder on another disk"
        raise DownloadError([Diagnostic("download-failed", message, None, help=help)])
