"""Several processes that train together, started by torch's own launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_spec.report.record import EpochRow, read_rows

pytestmark = [pytest.mark.torch, pytest.mark.slow]
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
optimizer: {op: SGD, lr: 0.02, momentum: 0.9}
schedule: cosine
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


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "together.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def arguments(files: Path, out: str, *more: str) -> list[str]:
    return ["train", str(files / "small.yaml"), "--recipe", str(files / "together.yaml"), "--data", DATA, "--device", "cpu",
            "--out", str(files / out), *more]  # fmt: skip


def launcher(processes: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options]


def run(command: list[str], code: int = 0) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout + done.stderr


def rows(folder: Path) -> list[EpochRow]:
    return read_rows((folder / "metrics.jsonl").read_text(encoding="utf-8"))


def test_two_processes_see_and_learn_what_one_does(files: Path) -> None:
    """The same samples in the same augmentation: 50 steps have the same losses, but for the order of sums."""
    run([sys.executable, "-m", "resnet_spec", *arguments(files, "one")])
    run([*launcher(2), "-m", "resnet_spec", *arguments(files, "two")])
    one, two = rows(files / "one"), rows(files / "two")
    assert [row.step for row in one] == [row.step for row in two] == list(range(2, 51, 2))
    for alone, together in zip(one, two, strict=True):
        assert together.train_loss == pytest.approx(alone.train_loss, rel=2e-4)
        assert together.validation_loss == pytest.approx(alone.validation_loss, rel=2e-3)
        assert together.train_accuracy == pytest.approx(alone.train_accuracy, abs=1.1 / 80)
    results = [json.loads((files / name / "results.json").read_text(encoding="utf-8")) for name in ("one", "two")]
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=2e-2)


def test_two_processes_evaluate_every_image_once(files: Path) -> None:
    """The same weights: counts of one process and of two are equal, to the image."""
    run([*launcher(2), "-m", "resnet_spec", *arguments(files, "two", "--epochs", "2")])
    told = json.loads(run([sys.executable, "-m", "resnet_spec", "eval", str(files / "two"), "--format", "json"]))
    results = json.loads((files / "two" / "results.json").read_text(encoding="utf-8"))
    assert told["images"] == 30
    assert told["accuracy"] == results["test_accuracy"]


def test_a_run_whose_process_was_killed_is_restarted_and_ends_as_a_whole_one(files: Path) -> None:
    script = files / "killed.py"
    script.write_text(KILLED.replace("{data}", DATA), encoding="utf-8")
    program = [str(script), str(files / "small.yaml"), str(files / "together.yaml")]
    run([*launcher(2, "--max-restarts=1"), *program, str(files / "killed"), str(files / "mark")])
    assert (files / "mark").read_text(encoding="utf-8") == "killed"
    run([*launcher(2), "-m", "resnet_spec", *arguments(files, "whole")])
    assert (files / "killed" / "metrics.jsonl").read_bytes() == (files / "whole" / "metrics.jsonl").read_bytes()
    assert (files / "killed" / "last.safetensors").read_bytes() == (files / "whole" / "last.safetensors").read_bytes()


def test_a_signal_stops_all_processes_after_a_save(files: Path) -> None:
    command = [*launcher(2), "-m", "resnet_spec", *arguments(files, "run", "--epochs", "5000")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        os.kill(process.pid, signal.SIGTERM)
        _, told = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "resnet-spec train --resume" in told
    assert list((files / "run" / "checkpoints").iterdir())


def test_processes_that_disagree_are_told_so(files: Path) -> None:
    other = (
        "import os, sys\nfrom resnet_spec.cli import main\n"
        "sys.argv[1:] += ['--lr', '0.5'] if os.environ['RANK'] == '1' else []\nmain()\n"
    )
    (files / "other.py").write_text(other, encoding="utf-8")
    told = run([*launcher(2), str(files / "other.py"), *arguments(files, "run")], code=1)
    assert "disagree about the recipe" in told
    assert not (files / "run" / "run.json").exists()


def test_batch_norm_over_all_processes_is_refused_on_cpus(files: Path) -> None:
    told = run([*launcher(2), "-m", "resnet_spec", *arguments(files, "run", "--set-recipe", "sync_batch_norm=true")], code=1)
    assert "recipe-sync" in told
