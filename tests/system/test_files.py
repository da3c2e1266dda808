"""Files appear whole or not at all, with the permissions of any new file, and nothing of the process changes on the way."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resnet_spec._system.files import write_atomically

posix = pytest.mark.skipif(os.name == "nt", reason="permissions are those of POSIX")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path, mask: int, durable: bool) -> None:
    replaced = tmp_path / "replaced"
    replaced.write_bytes(b"old")
    replaced.chmod(0o600)
    with umask(mask):
        (tmp_path / "plain").write_bytes(b"")
        for name in ("new", "replaced"):
            write_atomically(tmp_path / name, b"data", durable)
            assert mode_of(tmp_path / name) == mode_of(tmp_path / "plain") == 0o666 & ~mask
            assert (tmp_path / name).read_bytes() == b"data"


@posix
def test_the_umask_of_the_process_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: a file that another one creates meanwhile would be writable for everyone."""

    def touched(_: int) -> int:
        raise AssertionError("the umask of the process was changed")

    monkeypatch.setattr(os, "umask", touched)
    write_atomically(tmp_path / "file", b"data", durable=True)
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize(
    "name",
    ["n" * 255, "\u795e" * 85, "-", ".hidden", "a b\tc\n", "'quoted\""],
    ids=["longest", "longest in Chinese", "dash", "hidden", "spaces", "quotes"],
)
def test_any_name_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    if os.name == "nt":
        pytest.skip("has names of its own")
    for data in (b"first", b"second"):
        write_atomically(tmp_path / name, data)
        assert (tmp_path / name).read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [name]


@posix
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomically(pipe, b"data")
    reader.join(10)
    assert read == [b"data"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("where", ["absent/file", "folder"])
def test_what_cannot_be_written_is_reported_by_its_own_name(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:  # noqa: PT011
        write_atomically(tmp_path / where, b"data")
    assert caught.value.filename == str(tmp_path / where)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new", durable=True)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
