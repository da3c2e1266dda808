"""Several processes that train together.

They are started by torch's own launcher, which takes seconds each time; so one run of two processes serves several tests, and
what is refused before the first step is tested in this process, as one of two.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from resnet_spec.cli import group, main
from resnet_spec.report.record import EpochRow, read_rows

pytestmark = [pytest.mark.torch, pytest.mark.training, pytest.mark.subprocess]
Refused = Callable[..., str]
ROOT = Path(__file__).parents[2]
SPEC = """
spec: 1
name: small
input: 3x12x12
classes: 4
norm: {op: group_norm, num_groups: 8}
stem: {conv1: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
block: basic
stages: {layer1: {width: 16}, layer2: {width: 32, stride: 2}}
head: {avgpool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
"""
RECIPE = """
recipe: 1
name: together
epochs: 25
batch_size: 40
accumulate: 2
optimizer: {op: SGD, lr: 0.005, momentum: 0.9}
schedule: cosine
class_weights: {disc: 1.4, cross: 0.6}
augment: {random_crop: {padding: 1}, random_horizontal_flip: 0.5, random_erasing: {p: 0.3}, mixup: 0.2, cutmix: 1.0}
save: {steps: 3}
"""
DATA = "synthetic:classes=4,size=12,train=80,validation=37,test=30"  # two steps an epoch; 37 and 30 do not divide

# Rank 0 kills itself once, in the middle of an epoch.
KILLED = """
import os, signal, sys
from pathlib import Path
import resnet_spec
from resnet_spec.training import session
from resnet_spec.training.console import Console
session.write_pictures = lambda *_: None

def on_step(epoch, step, *rest):
    if step == 27 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        Path(sys.argv[4]).write_text("killed")
        os.kill(os.getpid(), signal.SIGKILL)

console = Console(lambda line: None, on_step, lambda *row: None)
resnet_spec.train(Path(sys.argv[1]), sys.argv[2], "{data}", out=sys.argv[3], device="cpu", console=console)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the spec and the recipe. Each test writes its run into a folder of its own name."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "small.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "together.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def two(files: Path) -> Path:
    """The folder of a run of two processes, from its start to its end."""
    run([*launcher(2), "-m", "resnet_spec", *arguments(files, "two")])
    return files / "two"


def arguments(files: Path, out: str, *more: str) -> list[str]:
    return ["train", str(files / "small.yaml"), "--recipe", str(files / "together.yaml"), "--data", DATA, "--device", "cpu",
            "--out", str(files / out), *more]  # fmt: skip


def launcher(processes: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options]


def run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def alone(*command: str) -> str:
    """Run a command in this process; what it printed."""
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(folder: Path) -> list[EpochRow]:
    return read_rows((folder / "metrics.jsonl").read_text(encoding="utf-8"))


def test_two_processes_see_and_learn_what_one_does(files: Path, two: Path) -> None:
    """The same samples in the same augmentation: 50 steps have the same losses, but for the order of sums."""
    alone(*arguments(files, "one"))
    one, both = rows(files / "one"), rows(two)
    assert [row.step for row in one] == [row.step for row in both] == list(range(2, 51, 2))
    for single, together in zip(one, both, strict=True):
        assert together.train_loss == pytest.approx(single.train_loss, rel=2e-4)
        assert together.validation_loss == pytest.approx(single.validation_loss, rel=2e-3)
        assert together.train_accuracy == pytest.approx(single.train_accuracy, abs=1.1 / 80)
    results = [json.loads((files / name / "results.json").read_text(encoding="utf-8")) for name in ("one", "two")]
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=2e-2)


def test_two_processes_evaluate_every_image_once(two: Path) -> None:
    """The same weights: counts of one process and of two are equal, to the image."""
    report = json.loads(alone("eval", str(two), "--format", "json"))
    results = json.loads((two / "results.json").read_text(encoding="utf-8"))
    with (two / "predictions.csv").open(encoding="utf-8", newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    assert files == [f"image {i} of {split}" for split, count in (("validation", 37), ("test", 30)) for i in range(count)]
    assert report["images"] == 30
    assert report["balanced_accuracy"] == pytest.approx(results["test_balanced_accuracy"])
    assert report["macro_f1"] == pytest.approx(results["test_macro_f1"])
    assert report["calibration_error"] == pytest.approx(results["test_calibration_error"], abs=1e-4)
    assert report["accuracy"] == results["test_accuracy"]


@pytest.mark.drill
def test_a_run_whose_process_was_killed_is_restarted_and_ends_as_a_whole_one(files: Path, two: Path) -> None:
    script = files / "killed.py"
    script.write_text(KILLED.replace("{data}", DATA), encoding="utf-8")
    program = [str(script), str(files / "small.yaml"), str(files / "together.yaml")]
    run([*launcher(2, "--max-restarts=1"), *program, str(files / "killed"), str(files / "mark")])
    assert (files / "mark").read_text(encoding="utf-8") == "killed"
    assert (files / "killed" / "metrics.jsonl").read_bytes() == (two / "metrics.jsonl").read_bytes()
    assert (files / "killed" / "last.safetensors").read_bytes() == (two / "last.safetensors").read_bytes()


@pytest.mark.drill
def test_a_signal_stops_all_processes_after_a_save(files: Path) -> None:
    command = [*launcher(2), "-m", "resnet_spec", *arguments(files, "stopped", "--epochs", "5000")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "resnet-spec train --resume" in errors
    assert list((files / "stopped" / "checkpoints").iterdir())


class Peers:
    """This process as one of two, as torch reports it: one after the other, since what they exchange is all they need.

    `sent` is what this process sent to the other, in order, and `other` what that sent; at first it sends the same.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rank = 0
        self.sent: list[object] = []
        self.other: list[object] = []
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: self.rank)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "all_gather_object", self.gather)

    def gather(self, found: list[object], value: object) -> None:
        other = self.other[len(self.sent)] if self.other else value
        self.sent.append(value)
        found[:] = [value, other] if self.rank == 0 else [other, value]

    def swap(self) -> None:
        """Go on as the other process, which receives what this one sent."""
        self.rank, self.sent, self.other = 1 - self.rank, [], self.sent


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Peers:
    return Peers(monkeypatch)


@pytest.fixture
def refused(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs `train` as the program does, and gives what it printed; it must end with 1 and write nothing."""

    def train(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["resnet-spec", *arguments(files, str(tmp_path / "run"), *more)])
        with pytest.raises(SystemExit) as done:
            main()
        assert done.value.code == 1
        assert not (tmp_path / "run").exists()
        return capsys.readouterr().err

    return train


SYNC = ("--set-recipe", "sync_batch_norm=true")


def test_processes_that_disagree_are_all_refused(refused: Refused, peers: Peers) -> None:
    assert "disagree" not in refused(*SYNC)  # they agree, and it ends for another reason before the first step
    peers.swap()
    for _ in range(2):
        found = refused(*SYNC, *(("--lr", "0.5") if peers.rank == 1 else ()))
        assert "the processes disagree about the recipe: that of rank 1 is not that of rank 0" in found
        peers.swap()


def test_batch_norm_over_all_processes_is_refused_on_cpus(refused: Refused, peers: Peers) -> None:
    assert "recipe-sync" in refused(*SYNC)
    assert peers.sent  # they had agreed on everything else
