"""CIFAR in both published forms, as torchvision reads it; and pickles that want more than arrays."""

from __future__ import annotations

import importlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data import Split
from resnet_spec.data.cifar import CIFAR10, CIFAR100
from tests.data.conftest import Open, Refused, noise

BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


def write(root: Path, kind: str, form: str, protocol: int = 2) -> None:
    """Four images a file (CIFAR-100: every label once), in a form of the author's."""
    fine = kind == "cifar100"
    folder = {"bin": ["cifar-10-batches-bin", "cifar-100-binary"], "py": ["cifar-10-batches-py", "cifar-100-python"]}[form][
        fine
    ]
    (root / folder).mkdir(parents=True)
    names = ["train", "test"] if fine else [*BATCHES, "test_batch"]
    classes = 100 if fine else 10
    for seed, name in enumerate(names):
        count = 100 if fine else 4
        data, labels = noise(seed, count, 3072), [(i * 7 + seed) % classes for i in range(count)]
        if form == "bin":
            head = np.array([[label // 5, label] if fine else [label] for label in labels], np.uint8)
            (root / folder / f"{name}.bin").write_bytes(np.hstack([head, data]).tobytes())
        else:
            content = {"data": data, "fine_labels" if fine else "labels": labels, "batch_label": b"any", "filenames": ["x"]}
            (root / folder / name).write_bytes(pickle.dumps(content, protocol))
    words = [f"class {i}" for i in range(classes)]
    if form == "bin":
        (root / folder / ("fine_label_names.txt" if fine else "batches.meta.txt")).write_text("\n".join(words) + "\n\n")
    else:
        meta = {"fine_label_names" if fine else "label_names": words}
        (root / folder / ("meta" if fine else "batches.meta")).write_bytes(pickle.dumps(meta, protocol))


def same(a: Split | None, b: Split | None) -> bool:
    assert a is not None
    assert b is not None
    assert a.pixels is not None
    return bool((a.pixels == b.pixels).all() and (a.labels == b.labels).all())


@pytest.mark.parametrize("kind", ["cifar10", "cifar100"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_both_forms_hold_the_same_and_torchvision_agrees(
    tmp_path: Path, opened: Open, kind: str, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "b", kind, "bin")
    write(tmp_path / "p", kind, "py", protocol)
    binary, pickled = opened(f"{kind}:{tmp_path / 'b'}"), opened(f"{kind}:{tmp_path / 'p'}")
    assert same(binary.train, pickled.train)
    assert same(binary.test, pickled.test)
    assert (binary.validation, binary.channels, binary.size) == (None, 3, (32, 32))
    assert binary.classes == pickled.classes == tuple(f"class {i}" for i in range(100 if kind == "cifar100" else 10))
    assert "images each, unlike" in binary.notes[0]
    import_torchvision()
    module: Any = importlib.import_module("torchvision.datasets")
    reader = module.CIFAR100 if kind == "cifar100" else module.CIFAR10
    monkeypatch.setattr(reader, "_check_integrity", lambda self: True)
    monkeypatch.setattr(f"{reader.__module__}.check_integrity", lambda *_: True)
    for ours, train in ((binary.train, True), (binary.test, False)):
        theirs = reader(str(tmp_path / "p"), train=train)
        assert ours is not None
        assert ours.pixels is not None
        assert (theirs.data == ours.pixels).all()
        assert theirs.targets == ours.labels.tolist()


def test_the_folder_itself_may_be_named_and_the_names_are_known(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "cifar10", "bin")
    (tmp_path / "cifar-10-batches-bin" / "batches.meta.txt").write_text("one\ntwo\n")
    assert opened(f"cifar10:{tmp_path}/cifar-10-batches-bin").classes == CIFAR10
    assert (len(CIFAR100), len(set(CIFAR100)), list(CIFAR100)) == (100, 100, sorted(CIFAR100))


def test_an_incomplete_folder_says_what_it_lacks(tmp_path: Path, refused: Refused) -> None:
    found = refused(f"cifar100:{tmp_path}")
    assert found.code == "missing-data"
    assert "cifar-100-binary" in found.help
    write(tmp_path, "cifar10", "bin")
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    assert "lacks `data_batch_3.bin`" in refused(f"cifar10:{tmp_path}").message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-1], "may be truncated"),
        (lambda raw: b"", "0 bytes"),
        (lambda raw: raw[:3073] + b"\x0a" + raw[3074:], "has label 10 for image 1; there are 10 classes"),
    ],
)
def test_damaged_binary_files_are_named(tmp_path: Path, refused: Refused, change: Any, words: str) -> None:
    write(tmp_path, "cifar10", "bin")
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    path.write_bytes(change(path.read_bytes()))
    found = refused(f"cifar10:{tmp_path}")
    assert found.code == "damaged-data"
    assert words in found.message
    assert "data_batch_2.bin" in found.message


def test_a_batch_as_python_2_pickled_it(tmp_path: Path, opened: Open) -> None:
    """The published files are of this kind: strings of bytes, and the array's content as one of them."""
    data = noise(9, 1, 3072)
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"\x89T\x00\x0c\x00\x00" + data.tobytes() + b"tb"
    batch = b"\x80\x02}(U\x04data" + array + dtype + content + b"U\x06labels]K\x03au."
    assert (pickle.loads(batch, encoding="latin-1")["data"] == data).all()
    write(tmp_path, "cifar10", "py")
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(batch)
    test = opened(f"cifar10:{tmp_path}").test
    assert test is not None
    assert test.labels.tolist() == [3]
    assert (test.read(0) == data.reshape(3, 32, 32).transpose(1, 2, 0)).all()


class Bomb:
    """Unpickled as usual, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_pickle_that_wants_to_run_something_is_refused_and_not_run(tmp_path: Path, refused: Refused, name: str) -> None:
    write(tmp_path, "cifar10", "py")
    bomb = pickle.dumps({"data": Bomb(tmp_path / "ran"), "labels": [1], "label_names": ["a"]})
    (tmp_path / "cifar-10-batches-py" / name).write_bytes(bomb)
    found = refused(f"cifar10:{tmp_path}")
    assert found.code == "refused-pickle"
    assert "mkdir" in found.message
    assert not (tmp_path / "ran").exists()
    pickle.loads(bomb)
    assert (tmp_path / "ran").exists()  # it would have


@pytest.mark.parametrize(
    "payload", [b"cbuiltins\neval\n.", b"cnumpy\nload\n.", b"cnumpy.core.multiarray\nscalar\n.", b"\x80\x04\x95"]
)
def test_only_five_names_are_admitted(tmp_path: Path, refused: Refused, payload: bytes) -> None:
    write(tmp_path, "cifar10", "py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(payload)
    assert refused(f"cifar10:{tmp_path}").code == ("damaged-data" if payload[0] == 0x80 else "refused-pickle")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"data": b"abc", "labels": [1]},
        {"data": noise(0, 2, 3072), "labels": [1]},
        {"data": noise(0, 1, 3071), "labels": [1]},
        {"data": noise(0, 1, 3072).astype(np.int64), "labels": [1]},
        {"data": noise(0, 1, 3072), "labels": ["x"]},
        {"data": noise(0, 1, 3072), "labels": [True]},
        {"data": noise(0, 1, 3072), "labels": [10]},
        {"data": noise(0, 1, 3072), "labels": [-1]},
        {"data": noise(0, 1, 3072), "labels": [1 << 80]},
        {"data": noise(0, 1, 3072).astype(object), "labels": [1]},
    ],
)
def test_pickles_with_anything_else_are_refused(tmp_path: Path, refused: Refused, content: object) -> None:
    write(tmp_path, "cifar10", "py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(content, 2))
    found = refused(f"cifar10:{tmp_path}")
    assert found.code == "damaged-data"
    assert "data_batch_1" in found.message


def test_no_damage_of_a_pickle_makes_a_traceback(tmp_path: Path, refused: Refused, opened: Open) -> None:
    write(tmp_path, "cifar10", "py")
    path = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    good = pickle.dumps({"labels": [1], "data": noise(0, 1, 3072)}, 2)
    random = np.random.default_rng(1)
    for cut in range(0, 200, 9):
        path.write_bytes(good[:cut])
        assert refused(f"cifar10:{tmp_path}").code == "damaged-data"
    for _ in range(150):
        bad = bytearray(good)
        bad[int(random.integers(0, 200))] = int(random.integers(0, 256))
        path.write_bytes(bad)
        try:
            opened(f"cifar10:{tmp_path}")
        except Exception:  # noqa: BLE001 - whatever it is, it must be this one
            assert refused(f"cifar10:{tmp_path}").code in ("damaged-data", "refused-pickle")
