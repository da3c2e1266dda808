"""Checkpoints with the right hash and other values inside are treated like damaged ones."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import resnet_spec
from resnet_spec.training import checkpoints, runs, session
from resnet_spec.training.checkpoint_form import FormError
from resnet_spec.training.console import Console
from tests.training.tiny import Ear, loop_of, refused, train

pytestmark = [pytest.mark.torch, pytest.mark.training]
CHANGES: dict[str, object] = {"ema": {"decay": 0.9}, "optimizer": {"op": "Adam", "lr": 0.01}, "save": {"steps": 3, "keep": 9}}
HOSTILE = [None, True, -1, 2**70, 1.5, float("nan"), "text", [], {}, [1], {"a": 1}, (), torch.zeros(2), torch.zeros(0)]
OPTIMIZERS = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
    "Adafactor",
]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("form") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        train(folder, **CHANGES)  # type: ignore[arg-type]
    return folder


def loaded(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def rewrite(path: Path, data: bytes) -> Path:
    path.unlink()
    changed = path.with_name(f"{path.name[:13]}-{hashlib.sha256(data).hexdigest()}.pt")
    changed.write_bytes(data)
    return changed


def saved(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a state."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(each, path[1:], new) if key == path[0] else each for key, each in value.items()}
    return type(value)(replaced(each, path[1:], new) if number == path[0] else each for number, each in enumerate(value))


def test_every_value_of_another_form_is_refused_or_harmless(done: Path) -> None:
    """Thousands of changes of one value each: what is accepted is restored without an error."""
    opened, found = runs.open_run(done, None, "cpu", None, Console.silent())
    assert found is not None
    form = runs._form(opened)
    state = dict(found.state)
    form.check(state, found.step)
    loop = loop_of(opened, Ear())
    accepted = refusals = 0
    for path in places(state):
        for new in HOSTILE:
            changed = replaced(state, path, new)
            if not isinstance(changed, dict):
                continue
            try:
                form.check(changed, found.step)
            except FormError:
                refusals += 1
                continue
            accepted += 1
            if accepted % 7 == 0:
                loop.restore(changed)
    assert refusals > 10 * accepted


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_states_of_optimizers_are_accepted(tmp_path: Path, optimizer: str) -> None:
    arguments = {"momentum": 0.9} if optimizer == "SGD" else {}
    train(tmp_path / "run", optimizer={"op": optimizer, "lr": 0.001, **arguments}, epochs=1)
    opened, found = runs.open_run(tmp_path / "run", None, "cpu", None, Console.silent())
    assert found is not None
    form = runs._form(opened)
    states = found.state["optimizer"]["state"]  # type: ignore[index]
    for key, value in states[0].items():
        if isinstance(value, torch.Tensor):
            with pytest.raises(FormError, match=key):
                form.check(replaced(dict(found.state), ("optimizer", "state", 0, key), torch.zeros(7, 7)), found.step)


def test_one_of_another_form_is_named_and_the_one_before_it_taken(done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "run")
    newest, before, *_ = sorted((folder / "checkpoints").iterdir(), reverse=True)
    changed = rewrite(newest, saved({**loaded(newest), "rows": "none"}))
    lines: list[str] = []
    console = Console(lines.append, lambda *_: None, lambda *_: None)
    _, found = runs.open_run(folder, None, "cpu", None, console)
    assert found is not None
    assert found.path == before
    assert [changed.name in line and "`rows`" in line for line in lines] == [True]
    resnet_spec.resume(folder, device="cpu", console=Console.silent())
    assert (folder / "last.safetensors").read_bytes() == (done / "last.safetensors").read_bytes()


def test_where_none_is_of_the_form_the_run_does_not_begin_again(done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "run")
    for path in list((folder / "checkpoints").iterdir()):
        rewrite(path, saved({**loaded(path), "sums": 1}))
    found = refused(lambda: resnet_spec.resume(folder, device="cpu", console=Console.silent()))
    assert found.code == "not-a-run"
    assert "`sums`" in found.help


def compressed(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        new.writestr("archive/data/999", bytes(10**8))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (compressed, "compressed"),
        (lambda data: data[:-9], "zip"),
        (lambda data: saved([1, 2]), "no state"),
        (lambda data: b"PK" + bytes(300), "zip"),
        (lambda data: data + bytes(300 * 2**20), "more than the run has"),
    ],
)
def test_what_is_in_the_file_is_checked_before_it_is_unpacked(
    done: Path, tmp_path: Path, change: Callable[[bytes], bytes], problem: str
) -> None:
    folder = shutil.copytree(done, tmp_path / "run")
    newest = max((folder / "checkpoints").iterdir())
    rewrite(newest, change(newest.read_bytes()))
    lines: list[str] = []
    opened, _ = runs.open_run(done, None, "cpu", None, Console.silent())
    found = checkpoints.newest(folder, lines.append, runs._form(opened))
    assert found is not None
    assert len(lines) == 1
    assert problem in lines[0]
