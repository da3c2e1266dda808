"""`train`, `eval`, `predict`, `stats` and recipes as they are used at a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft7Validator
from PIL import Image

from resnet_spec.cli import group
from resnet_spec.diagnostics import printable
from resnet_spec.language.library import shipped_names, shipped_path
from resnet_spec.language.schemas import schema_document
from tests.cli.conftest import Shell
from tests.training.tiny import DATA, SPEC, write_folder

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
RECIPE = "recipe: 1\nname: short\nepochs: 2\nbatch_size: 16\noptimizer: {op: SGD, lr: 0.05, momentum: 0.9}\n"


def run(*arguments: str) -> Result:
    """The command in this process, without traceback whatever happens."""
    done = CliRunner().invoke(group, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and a recipe, in which no pictures are drawn."""
    from resnet_spec.training import session

    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "short.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


TRAIN = ("train", "small.yaml", "--recipe", "short.yaml", "--data", DATA, "--device", "cpu")


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- train -----------------------------------------------------------------------------------------------------------------


def test_a_run_says_its_plan_its_epochs_and_its_outcome(here: Path) -> None:
    done = run(*TRAIN, "--out", "run")
    assert done.exit_code == 0
    results = json.loads((here / "run" / "results.json").read_text(encoding="utf-8"))
    lines = done.output.splitlines()
    assert lines[0] == "network   small: 19,796 parameters, 1,241,984 multiply-adds"
    assert "80 training, 24 validation, 30 test images, 4 classes" in done.output
    assert "recipe    short: 2 epochs, 10 steps of 16 images, SGD, lr 0.05, constant" in lines
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert f"best epoch {results['best_epoch']}: validation accuracy {100 * results['best_validation_accuracy']:.2f}%" in lines
    assert f"test accuracy {100 * results['test_accuracy']:.2f}% (30 images)" in lines
    balanced, f1, error = (100 * results[f"test_{each}"] for each in ("balanced_accuracy", "macro_f1", "calibration_error"))
    assert f"balanced accuracy {balanced:.2f}%, macro F1 {f1:.2f}%, calibration error {error:.2f}% (test images)" in lines
    assert lines[-1] == "wrote run/report.html"
    assert "\r" not in done.output  # no terminal, no bar


def test_a_dry_run_writes_nothing(here: Path) -> None:
    before = listing(here)
    done = run(*TRAIN, "--out", "run", "--dry-run")
    assert done.exit_code == 0
    assert "10 steps of 16 images" in done.output
    assert "nothing was trained, and nothing written" in done.output
    assert run(*TRAIN, "--dry-run", "--overfit-batch").exit_code == 0
    assert listing(here) == before


def test_an_activation_on_the_logits_is_noted(here: Path) -> None:
    note = "note      the network ends in sigmoid, but cross entropy takes logits"
    assert note not in run(*TRAIN, "--dry-run").output
    (here / "small.yaml").write_text(SPEC.rstrip() + "\n  last: sigmoid\n", encoding="utf-8")
    done = run(*TRAIN, "--dry-run")
    assert done.exit_code == 0
    assert note in done.output


def test_flags_are_patches_of_the_recipe(here: Path) -> None:
    flags = ("--epochs", "3", "--batch-size", "20", "--lr", "0.01", "--seed", "7", "--precision", "bf16")
    done = run(*TRAIN, *flags, "--dry-run")
    assert "3 epochs, 12 steps of 20 images, SGD, lr 0.01" in done.output
    assert ", bf16" in done.output
    patches = ("epochs=3", "batch_size=20", "optimizer.lr=0.01", "seed=7", "precision=bf16")
    assert run(*TRAIN, *(part for patch in patches for part in ("--set-recipe", patch)), "--dry-run").output == done.output
    assert "7 iterations, 7 steps" in run(*TRAIN, "--set-recipe", "iterations=7", "--dry-run").output


def test_one_batch_is_learned_by_heart(here: Path) -> None:
    done = run(*TRAIN, "--overfit-batch", "--epochs", "60", "--out", "run")
    assert done.exit_code == 0
    assert "16 training images" in done.output
    (share,) = re.findall(r"training accuracy ([0-9.]+)% in the last epoch", done.output)
    assert float(share) > 95


def test_synthetic_images_and_the_quick_recipe_are_what_there_is_without_being_asked(here: Path) -> None:
    done = run("train", "small.yaml", "--dry-run")
    assert "recipe    quick" in done.output
    assert "data      synthetic: 4,000 training" in done.output


def test_a_spec_with_a_recipe_of_its_own_uses_it_on_real_images(here: Path) -> None:
    data = write_folder(here / "data", ("a", "b", "c", "d"))
    (here / "own.yaml").write_text(SPEC + "recipe: pokemon\n", encoding="utf-8")
    done = run("train", "own.yaml", "--data", data, "--dry-run", "--set-recipe", "resize=", "--set-recipe", "crop=")
    assert done.exit_code == 0
    assert "recipe    pokemon" in done.output


def test_a_run_is_resumed_and_a_finished_one_is_finished(here: Path) -> None:
    run(*TRAIN, "--out", "run")
    before = (here / "run" / "last.safetensors").read_bytes()
    done = run("train", "--resume", "run", "--device", "cpu")
    assert done.exit_code == 0
    assert "resume    run after step 10" in done.output
    assert "epoch 1/2" not in done.output
    assert (here / "run" / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train",), 2, "specify a SPEC to train"),
        (("train", "small.yaml", "--resume", "run"), 2, "run"),
        (("train", "--resume", "."), 2, "run.json"),
        (("train", "--resume", ".", "--lr", "1"), 2, "a run is continued unchanged"),
        (("train", "--resume", ".", "--lr", "1", "--set", "a=1"), 2, "--lr and --set cannot be used with --resume"),
        (("train", "--resume", ".", "--recipe", "quick"), 2, "--recipe cannot be used with --resume"),
        (("train", "--resume", ".", "--out", "run"), 2, "--out cannot be used with --resume"),
        (("train", "--resume", ".", "--seed", "0", "--data", "x"), 2, "Error: --seed cannot be used with --resume"),
        (("train", "--resume", ".", "--spec-root", "."), 2, "--spec-root cannot be used with --resume"),
        (("train", "--resume", ".", "--set-recipe", "epochs=9"), 2, "--set-recipe cannot be used with --resume"),
        (("train", "small.yaml", "--resume", "."), 2, "either the SPEC small.yaml or --resume RUN"),
        (
            ("train", "small.yaml", "--epochs", "3", "--set-recipe", "iterations=9"),
            *(2, "--epochs 3 contradicts --set-recipe iterations=9"),
        ),
        (
            ("train", "small.yaml", "--set-recipe", "epochs=3", "--set-recipe", "iterations=9"),
            *(2, "--set-recipe epochs=3 contradicts --set-recipe iterations=9"),
        ),
        (("train", "small.yaml", "--lr", "1", "--set-recipe", "optimizer.lr=2"), 2, "--lr 1.0 contradicts --set-recipe"),
        (("train", "small.yaml", "--epochs", "1", "--set-recipe", "epochs=2"), 2, "--epochs 1 contradicts --set-recipe"),
        (("train", "nosuch.yaml"), 2, "nosuch.yaml"),
        (("train", "small.yaml", "--recipe", "cifar-fsat"), 2, "did you mean"),
        (("train", "small.yaml", "--data", "folder:nosuch", "--recipe", "quick"), 2, "does not exist"),
        (("train", "small.yaml", "--data", "cifra10:x", "--recipe", "quick"), 2, "cifar10"),
        (("train", "small.yaml", "--data", "cifar10:x"), 2, "names no recipe"),
        (("train", "small.yaml", "--data", "synthetic:clases=3"), 2, "classes"),
        (("train", "small.yaml", "--device", "gpu"), 2, "cuda"),
        (("train", "small.yaml", "--lr", "fast"), 2, "not a valid float"),
        (("train", "small.yaml", "--epochs", "0"), 2, "--epochs"),
        (("train", "small.yaml", "--set-recipe", "epochs"), 2, "key.path=value"),
        (("train", "small.yaml", "--set-recipe", "epochz=3"), 1, "epochs"),
        (("train", "small.yaml", "--set-recipe", "optimizer={op: Adm, lr: 1}"), 1, "Adam"),
        (("train", "small.yaml", "--lr", "-1"), 1, "Invalid learning rate"),
        (("train", "small.yaml", "--set", "stem.conv1.kernel_size=99"), 1, "kernel"),
        (("train", "small.yaml", "--weights", "short.yaml"), 2, "short.yaml"),
        (("eval", "nosuch"), 2, "nosuch"),
        (("eval", "."), 2, "run.json"),
        (("eval", "small.yaml"), 2, "small.yaml"),
        (("predict", "small.yaml", "short.yaml"), 2, "small.yaml"),
        (("predict", "https://x.org/w.safetensors", "a.jpg"), 2, "download the weights first"),
        (("eval", "https://x.org/w.safetensors"), 2, "https://x.org/w.safetensors is an address, but"),
        (("stats", "folder:nosuch"), 2, "does not exist"),
        (("stats", "nosuch"), 2, "nosuch"),
    ],
)
def test_a_mistake_is_reported_in_words(here: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    before = listing(here)
    done = run(*arguments)
    assert (done.exit_code, words in done.output) == (code, True), done.output
    assert listing(here) == before


@pytest.mark.parametrize(
    "patches",
    [
        ("--epochs", "3", "--set-recipe", "epochs=3"),
        ("--lr", "0.10", "--set-recipe", "optimizer.lr=1e-1"),
        ("--precision", "fp32", "--set-recipe", "precision=fp32"),
        ("--lr", "0.1", "--set-recipe", "optimizer={op: SGD, lr: 0.2}"),
    ],
)
def test_options_that_agree_are_no_contradiction(here: Path, patches: tuple[str, ...]) -> None:
    assert run(*TRAIN, *patches, "--dry-run").exit_code == 0


def test_findings_come_in_every_format(here: Path) -> None:
    done = run(*TRAIN, "--lr", "-1", "--message-format", "json")
    assert json.loads(done.output)["diagnostics"][0]["code"] == "recipe-optimizer"
    assert run(*TRAIN, "--lr", "-1", "--message-format", "github").output.startswith("::error")


def test_a_run_that_diverges_names_the_step_and_exits_with_1(here: Path) -> None:
    done = run(*TRAIN, "--lr", "1e20", "--out", "run")
    assert done.exit_code == 1
    assert "loss-not-finite" in done.output
    assert "at step 2" in done.output
    assert "optimizer.lr=1" in done.output  # what was typed, and not the line of the recipe


def test_bad_images_are_counted(here: Path) -> None:
    data = write_folder(here / "data")
    (here / "data" / "train" / "cat" / "3.png").write_bytes(b"")
    arguments = ("train", "small.yaml", "--recipe", "short.yaml", "--data", data, "--out", "run")
    done = run(*arguments)
    assert done.exit_code == 1
    assert "train/cat/3.png: the file is empty" in done.output
    done = run(*arguments, "--skip-bad")
    assert done.exit_code == 0
    assert "left out because they cannot be read: 1 image;" in done.output


STOPPED = """
import os, signal, sys, time
from resnet_spec.cli import group, progress
from resnet_spec.training import session

def stepped(self, epoch, step, *rest):
    if step == 3:
        for _ in range(int(sys.argv[1])):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

session.write_pictures = lambda *_: None
progress.Bar._stepped = stepped
group.main(args=sys.argv[2:], prog_name="resnet-spec")
"""


@pytest.mark.drill
@pytest.mark.parametrize(("times", "saves"), [(1, True), (2, False)])
def test_ctrl_c_saves_and_a_second_one_ends_at_once(here: Path, times: int, saves: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(times), *TRAIN, "--out", "run"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr
    assert (here / "run" / "checkpoints").exists() == saves
    assert ("resnet-spec train --resume run" in done.stderr) == saves
    finished = run("train", "--resume", "run", "--device", "cpu")
    assert finished.exit_code == 0
    assert ("after step 3" if saves else "from its start") in finished.output


def test_lines_come_now_and_then_where_there_is_no_terminal(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resnet_spec.cli import progress

    monkeypatch.setattr(progress, "EVERY_PLAIN", 0.0)
    done = run(*TRAIN, "--out", "run")
    lines = [line for line in done.output.splitlines() if " left" in line]
    assert lines
    assert all(re.fullmatch(r"epoch \d  step \d+/10  loss \d\.\d{4}  [\d,]+ images/s  00:00:\d\d left", line) for line in lines)


# --- eval, predict, stats --------------------------------------------------------------------------------------------------


def test_eval_and_predict_tell_people_and_programs_the_same(here: Path) -> None:
    data = write_folder(here / "data")
    assert run("train", "small.yaml", "--recipe", "short.yaml", "--data", data, "--out", "run").exit_code == 0
    results = json.loads((here / "run" / "results.json").read_text(encoding="utf-8"))
    reported = json.loads(run("eval", "run", "--format", "json").output)
    assert reported["accuracy"] == results["test_accuracy"]
    assert reported["loss"] == pytest.approx(results["test_loss"], rel=1e-5)
    assert sum(map(sum, reported["confusion"])) == reported["images"] == 8
    text = run("eval", "run").output
    assert f"accuracy {100 * reported['accuracy']:.2f}%" in text
    balanced, f1, error = (100 * reported[each] for each in ("balanced_accuracy", "macro_f1", "calibration_error"))
    assert f"balanced accuracy {balanced:.2f}%  macro F1 {f1:.2f}%  calibration error {error:.2f}%" in text
    assert sum(each["images"] for each in reported["reliability"]) == reported["images"]
    assert "true / predicted" in text

    found = json.loads(run("predict", "run", str(here / "data" / "test"), "--top", "1", "--format", "json").output)
    assert len(found["predictions"]) == 8
    shown = run("predict", "run", str(here / "data" / "test"), "--top", "1").output.splitlines()
    for row, line in zip(found["predictions"], shown, strict=True):
        (best,) = row["classes"]
        assert line.split()[0] == row["image"]
        assert f"{best['name']} {100 * best['probability']:.1f}%" in line

    (here / "text.png").write_text("no image", encoding="utf-8")
    done = run("predict", "run", "text.png", str(here / "data" / "test" / "cat" / "0.png"))
    assert done.exit_code == 1
    assert "cannot read text.png" in done.output
    assert "0.png" in done.output


def test_names_of_classes_cannot_steer_a_terminal(here: Path) -> None:
    data = write_folder(here / "data", ("\x1b[31mred", "new\nline", "\u202egnp", "$x$"), count=4)
    outputs = [
        run("train", "small.yaml", "--recipe", "short.yaml", "--data", data, "--out", "run").output,
        run("eval", "run").output,
        run("predict", "run", str(here / "data" / "test")).output,
        run("stats", data).output,
    ]
    for output in outputs:
        assert "\x1b" not in output
        assert all(line == printable(line) for line in output.split("\n"))


def test_stats_say_what_is_in_a_data_set(here: Path) -> None:
    data = write_folder(here / "data")
    reported = json.loads(run("stats", data, "--format", "json").output)
    images = np.stack([np.asarray(Image.open(path)) for path in (here / "data" / "train").rglob("*.png")]) / 255
    assert reported["mean"] == pytest.approx(list(images.mean(axis=(0, 1, 2))))
    assert reported["images"] == {"train": [12, 12], "validation": [3, 3], "test": [4, 4]}
    text = run("stats", data).output
    assert f"mean: [{', '.join(f'{value:.4f}' for value in reported['mean'])}]" in text
    assert re.search(r"train +24 images", text)


# --- recipes ---------------------------------------------------------------------------------------------------------------


def test_every_shipped_recipe_is_listed() -> None:
    rows = json.loads(run("list", "--recipes", "--format", "json").output)["recipes"]
    assert [row["recipe"] for row in rows] == list(shipped_names("recipe"))
    assert all(row["about"] and row["expect"] for row in rows)
    text = run("list", "--recipes").output
    assert all(name in text for name in shipped_names("recipe"))


def test_the_schema_for_editors_asks_the_same_but_of_recipes_that_extend_another() -> None:
    shown = Draft7Validator(json.loads(run("schema", "--recipe").output))
    strict = Draft7Validator(schema_document("recipe"))
    for name in shipped_names("recipe"):
        path = shipped_path(name, "recipe")
        assert path is not None
        assert shown.is_valid(yaml.safe_load(path.read_text(encoding="utf-8")))
    for part in (
        {"optimizer": {"lr": 0.1}},
        {"schedule": {"rise": 0.1}},
        {"schedule": {"op": "multistep", "gamma": 0.5}},
        {"warmup": {"start": 0.1}},
        {"augment": {"random_crop": {"mode": "reflect"}}},
    ):
        recipe = {"recipe": 1, "epochs": 3, **part}
        assert not shown.is_valid(recipe)
        assert not strict.is_valid(recipe)
        assert shown.is_valid({**recipe, "extends": "cifar-fast"}), part
        assert not shown.is_valid({**recipe, "extends": "cifar-fast", "epochs": "many"})
    assert not shown.is_valid({"extends": "cifar-fast"})  # what every file says: `recipe: 1`


# --- as a program ----------------------------------------------------------------------------------------------------------


def test_a_run_as_a_program_with_pictures(shell: Shell) -> None:
    shell.write("small.yaml", SPEC)
    shell.write("short.yaml", RECIPE)
    done = shell(*TRAIN, "--out", "run")
    assert done.returncode == 0, done.stderr
    page = (shell.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "small" in page
