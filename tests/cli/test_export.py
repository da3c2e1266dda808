"""`resnet-spec export`: what it prints, and what it refuses without a trace. What is in the files: `tests/inference`."""

from __future__ import annotations

import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.outputs.exporting import formats, tensors
from resnet_spec.weights.file import save_weights
from tests.cli.conftest import Shell

pytestmark = pytest.mark.torch

RUN = Path(__file__).parents[1] / "compatibility" / "runs" / "finished"
SPEC = """
spec: 1
input: 3x8x8
classes: 10
stem: {conv: {op: conv2d, out_channels: 200, kernel_size: 3}, bn: batch_norm, relu: relu}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
"""
FIXED = SPEC.replace("head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, ", "head: {")


@pytest.fixture
def specs(shell: Shell) -> Shell:
    """A shell in a folder with a spec, with one of a fixed size, and with the folder of a run."""
    shell.write("net.yaml", SPEC)
    shell.write("fixed.yaml", FIXED)
    shutil.copytree(RUN, shell.folder / "run")
    return shell


def visible(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(shell: Shell, code: str, *arguments: str) -> str:
    """The error of an export that must be refused, and that leaves nothing behind."""
    before = visible(shell.folder)
    done = shell.here("export", *arguments)
    text = done.stderr.decode()
    assert f"error[{code}]: " in text
    assert "Traceback" not in text
    assert done.stdout == b""
    assert done.returncode in (1, 2)
    assert visible(shell.folder) == before
    return text


def test_the_list_names_each_format_and_what_is_missing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "is_installed", lambda module: module not in ("onnx", "onnxruntime"))
    done = shell.here("export", "--list")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == [f".{each.suffix}" for each in formats.FORMATS]
    (onnx,) = [line for line in lines if line.startswith(".onnx")]
    assert onnx.endswith("needs onnx and onnxruntime: pip install onnx onnxruntime (the extra `onnx`)")
    assert all(line.endswith("; ready") for line in lines if line != onnx)


def test_what_was_written_and_compared_is_printed(specs: Shell) -> None:
    done = specs.here("export", "net.yaml", "--dynamic", "size", "-o", "out/net.pt2")
    assert (done.returncode, done.stderr) == (0, b"")
    wrote, checked, note = done.stdout.decode().splitlines()
    assert wrote == f"wrote out/net.pt2: {(specs.folder / 'out/net.pt2').stat().st_size:,} bytes"
    cases = "1, 2 and 5 of 8x8; 2 of 40x8"
    assert re.fullmatch(
        rf"checked: it returns what the module returns, for batches of {cases}: largest relative difference \S+ "
        rf"\(accepted 1e-04\)",
        checked,
    )
    assert note == "note: the weights are freshly initialized (seed 0): --weights names trained ones"


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        ("export-format", ["net.yaml", "-o", "net.onx"], "did you mean `net.onnx`?"),
        ("export-option", ["net.yaml", "-o", "n.onnx", "--opset", "7"], "`--opset 18`"),
        ("export-option", ["net.yaml", "-o", "n.py", "--dtype", "fp16"], "model.to(torch.float16)"),
        ("export-option", ["net.yaml", "-o", "json.py"], "choose another name"),
        ("export-option", ["net.yaml", "-o", "n.pt2", "--opset", "18"], "write .onnx"),
        ("export-option", ["net.yaml", "-o", "n.onnx", "--dtype", "bf16"], "`.pt2` for bf16"),
        ("export-option", ["net.yaml", "-o", "n.onnx", "--channels-last"], "write .pt2"),
        ("export-option", ["net.yaml", "-o", "n.safetensors", "--snippet"], "holds tensors alone"),
        ("export-option", ["net.yaml", "-o", "n.safetensors", "--with-preprocessing", "nhwc"], "holds tensors alone"),
        ("export-option", ["fixed.yaml", "-o", "n.pt2", "--dynamic", "size"], "accepts no other size"),
        ("weights-without-facts", ["net.yaml", "-o", "n.pt2", "--with-preprocessing", "nchw"], "name a run"),
        ("missing-file", ["nothing.yaml", "-o", "n.safetensors"], ""),
        ("unreadable-file", ["net.yaml", "--weights", "nothing.pth", "-o", "n.safetensors"], "No such file"),
        ("invalid-argument", ["run", "--weights", "run", "-o", "n.safetensors"], "name the spec instead of the run"),
        ("invalid-argument", ["run", "--set", "act=silu", "-o", "n.safetensors"], "that of a run is fixed"),
        ("invalid-argument", ["net.yaml", "--weights-key", "model", "-o", "n.safetensors"], "no `weights` are named"),
        ("cannot-write", ["net.yaml", "-o", "net.yaml/n.safetensors"], "Not a directory"),
        ("cannot-write", ["net.yaml", "-o", "/dev/null/n.pt2"], "Not a directory"),
        ("cannot-write", ["run/best.safetensors", "-o", "run/best.safetensors"], "choose another name"),
        ("cannot-write", ["net.yaml", "-o", "n" * 300 + ".safetensors"], "File name too long"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_a_mistake_is_refused_with_a_way_out(specs: Shell, code: str, arguments: list[str], says: str) -> None:
    assert says in refused(specs, code, *arguments)


def test_a_folder_in_the_place_of_the_file_stays(specs: Shell) -> None:
    (specs.folder / "taken.safetensors").mkdir()
    assert "no regular file" in refused(specs, "cannot-write", "net.yaml", "-o", "taken.safetensors")


def test_weights_of_another_network_are_refused(specs: Shell) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), specs.folder / "other.pth")
    text = refused(specs, "other-weights", "net.yaml", "--weights", "other.pth", "-o", "n.safetensors")
    assert "conv" in text


def test_weights_that_are_not_finite_are_refused(specs: Shell) -> None:
    state = resnet_spec.build(SPEC).state_dict()
    state["fc.weight"][0, 0] = float("nan")
    torch.save(state, specs.folder / "nan.pth")
    refused(specs, "output-not-finite", "net.yaml", "--weights", "nan.pth", "-o", "n.pt2")
    state["fc.weight"][0, 0] = 1e6
    torch.save(state, specs.folder / "large.pth")
    assert "bf16" in refused(
        specs, "weights-not-finite", "net.yaml", "--weights", "large.pth", "--dtype", "fp16", "-o", "n.pt2"
    )


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", ["py", "pt2", "safetensors"])
def test_a_full_disk_keeps_the_file_that_was_there(specs: Shell, suffix: str) -> None:
    torch.save(resnet_spec.build(SPEC).state_dict(), specs.folder / "weights.pth")
    specs.write(f"net.{suffix}", "before")
    with files_end_at(10_000):
        assert "nothing was written" in refused(
            specs, "cannot-write", "net.yaml", "--weights", "weights.pth", "-o", f"net.{suffix}"
        )
    assert (specs.folder / f"net.{suffix}").read_text() == "before"


def test_an_export_that_is_interrupted_leaves_nothing(specs: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tensors, "save_weights", interrupt)
    before = visible(specs.folder)
    assert specs.here("export", "net.yaml", "-o", "n.safetensors").returncode != 0
    assert visible(specs.folder) == before


def test_a_damaged_write_is_noticed(specs: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    save = save_weights

    def damage(path: Path, module: nn.Module, metadata: dict[str, str]) -> None:
        save(path, module, metadata)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    monkeypatch.setattr(tensors, "save_weights", damage)
    assert "does not hold what was written: `fc." in refused(specs, "export-differs", "net.yaml", "-o", "n.safetensors")
