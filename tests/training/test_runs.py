"""Runs from the start to the report: every shipped spec, modules of others, weights to start from, and the folder of a run."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import resnet_spec
from resnet_spec import analyze, api, build, compiler
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.analysis.memory import measure
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.report.record import read_rows
from resnet_spec.training import checkpoints, runs, session, spec_subject
from resnet_spec.training.console import Console
from resnet_spec.training.options import TrainOptions
from resnet_spec.training.plan import describe_plan
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import read_recipe
from resnet_spec.training.scoring import Interrupted
from resnet_spec.training.session import Result
from resnet_spec.training.stop import Stop
from tests.networks import different_networks
from tests.training.tiny import DATA, SPEC, UNVALIDATED, Ear, loop_of, ready, recipe, refused, train

pytestmark = pytest.mark.torch
OVERFIT = 0.95


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures, which take longer than the training."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


# --- every shipped spec ----------------------------------------------------------------------------------------------------

LARGE = 7_000_000_000  # multiply-adds
HEAVY = 100_000_000  # parameters: writing their checkpoints takes half a minute


def shipped() -> list[object]:
    """Classifiers; of those with the same operations, `make test` takes the smallest."""
    analyses = {name: analyze(name) for name in different_networks()}
    names = [name for name, of in analyses.items() if of.total.params < HEAVY and len(of.output) == 1]
    smallest: dict[frozenset[str], str] = {}
    for name in sorted(names, key=lambda name: analyses[name].total.macs):
        smallest.setdefault(frozenset(node.op.name for node in analyses[name].graph.nodes), name)
    few = {*smallest.values(), "cifar_resnet1202"}
    slow = {name for name in names if "1202" in name or analyses[name].total.macs > LARGE}
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (name in slow) + [pytest.mark.zoo] * (name not in few)) for name in names
    ]


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_spec_takes_a_step_at_its_own_size(name: str) -> None:
    analysis = analyze(name)
    size = f"{analysis.input[1]}x{analysis.input[2]}"
    more: dict[str, Any] = {"segments": -1} if "1202" in name else {}
    started = ready(
        f"synthetic:classes={analysis.output[0]},size={size},train=2,validation=0,test=0",
        name,
        batch_size=2,
        epochs=None,
        iterations=1,
        optimizer={"op": "SGD", "lr": 1e-3},
        **more,
    )
    before = {key: value.clone() for key, value in started.subject.module.named_parameters()}
    ear = Ear()
    loop_of(started, ear).run()
    assert len(ear.losses) == 1
    assert math.isfinite(ear.losses[0])
    assert started.subject.params == sum(value.numel() for value in before.values())
    first = next(iter(before))  # gradients have gone all the way to it; a branch whose last norm starts at 0 has none yet
    assert not torch.equal(dict(started.subject.module.named_parameters())[first], before[first])


# --- modules that are not from a spec --------------------------------------------------------------------------------------


def torchvision_module() -> nn.Module:
    import_torchvision()
    models: Any = importlib.import_module("torchvision.models")
    torch.manual_seed(0)
    found: nn.Module = models.resnet18(num_classes=4)
    return found


@pytest.mark.usefixtures("plain")
def test_a_module_of_torchvision_trains_in_the_same_loop(tmp_path: Path) -> None:
    data = "synthetic:classes=4,size=32,train=32,validation=8,test=8"
    result = train(tmp_path / "run", data, torchvision_module(), input=(3, 32, 32), epochs=2)
    assert [row.step for row in result.rows] == [2, 4]
    assert result.test is not None
    assert set(load_file(tmp_path / "run" / "last.safetensors")) == set(torchvision_module().state_dict())
    assert not (tmp_path / "run" / "spec.yaml").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["name"] == "ResNet"


def test_segments_of_a_module_that_is_no_sequence_are_refused() -> None:
    found = refused(lambda: ready("synthetic:classes=4,size=32,train=8", torchvision_module(), input=(3, 32, 32), segments=4))
    assert found.code == "recipe-segments"
    assert found.span is not None
    assert found.span.source.line(found.span.line).strip() == '"segments": 4'


@pytest.mark.usefixtures("plain")
def test_a_run_of_a_module_is_resumed_when_the_module_is_given(tmp_path: Path) -> None:
    def module() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 4))

    whole = train(tmp_path / "whole", spec=module(), input=(3, 12, 12))
    stop = Stop()

    def on_step(step: int) -> None:
        stop.signal = 15 if step == 7 else None

    console = Console.silent()
    reported = Console(console.say, lambda epoch, step, *_: on_step(step), console.on_epoch)
    with pytest.raises(Interrupted):
        resnet_spec.train(
            module(), recipe(), DATA, out=tmp_path / "cut", input=(3, 12, 12), device="cpu", console=reported, stop=stop
        )
    found = refused(lambda: resnet_spec.resume(tmp_path / "cut", device="cpu", console=console))
    assert found.code == "not-a-run"
    assert "module=" in found.message
    other = nn.Sequential(nn.Flatten(), nn.Linear(432, 4))
    result = resnet_spec.resume(tmp_path / "cut", module=other, device="cpu", console=console)
    assert result.rows == whole.rows


def test_what_only_a_spec_has_is_refused_of_a_module() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(432, 4))
    with pytest.raises(ArgumentError, match="specs"):
        ready(spec=module, input=(3, 12, 12), set=("classes=5",))
    assert refused(lambda: ready(spec=module)).code == "missing-input"
    assert refused(lambda: ready(spec=module, input=(3, 13, 13))).code == "data-size"
    assert refused(lambda: ready("synthetic:classes=5,size=12,train=8", module, input=(3, 12, 12))).code == "data-classes"
    assert refused(lambda: ready(spec=nn.Identity(), input=(3, 12, 12))).code == "data-classes"
    assert any("init" in note for note in ready(spec=module, input=(3, 12, 12), init="xavier_uniform").notes)


def test_a_head_without_flatten_is_reported_at_its_linear() -> None:
    pooled = "spec: 1\ninput: 3x12x12\nclasses: 4\nstem: {pool: {op: adaptive_avg_pool2d, output_size: 1}"
    found = refused(lambda: ready(spec=pooled + ", fc: {op: linear, out_features: classes}}\n"))
    assert (found.code, found.help) == ("data-classes", "put `flatten: flatten` before `fc`")
    assert found.span is not None
    assert found.span.line == 4
    assert "out_features: classes" in refused(lambda: ready(spec=pooled + "}\n")).help


# --- weights to start from -------------------------------------------------------------------------------------------------


def test_with_other_classes_only_the_head_is_drawn_anew(tmp_path: Path) -> None:
    torch.manual_seed(99)
    save_file(build(SPEC).state_dict(), tmp_path / "four.safetensors")
    given = load_file(tmp_path / "four.safetensors")
    started = ready("synthetic:classes=3,size=12,train=30", weights=tmp_path / "four.safetensors")
    torch.manual_seed(seed_of(Purpose.WEIGHTS, 0))
    drawn = build(SPEC, set=["classes=3"]).state_dict()
    for key, value in started.subject.module.state_dict().items():
        assert torch.equal(value, drawn[key] if key.startswith("fc.") else given[key]), key
    assert any("fc.bias, fc.weight reinitialized for 3 classes" in note for note in started.notes)


def test_with_the_same_classes_every_tensor_is_taken(tmp_path: Path) -> None:
    save_file(build(SPEC).state_dict(), tmp_path / "four.safetensors")
    given = load_file(tmp_path / "four.safetensors")
    started = ready(weights=tmp_path / "four.safetensors")
    assert all(torch.equal(value, given[key]) for key, value in started.subject.module.state_dict().items())


@pytest.mark.parametrize("change", ["stages.layer2.width=24", "stages.layer2.depth=2", "stem.conv1.kernel_size=1"])
def test_weights_of_another_network_are_refused(tmp_path: Path, change: str) -> None:
    padding = ["stem.conv1.padding=0"] if "kernel" in change else []
    save_file(build(SPEC, set=[change, *padding]).state_dict(), tmp_path / "other.safetensors")
    assert refused(lambda: ready(weights=tmp_path / "other.safetensors")).code == "other-weights"


def test_weights_of_a_network_that_computes_something_else_are_taken_and_that_is_said(tmp_path: Path) -> None:
    words = "computes something else"
    for sets, said in (((), False), (("classes=7",), False), (("act=gelu",), True)):
        other = analyze(SPEC, set=sets)
        api.write_initial_weights(other, tmp_path / "other.safetensors")
        notes = ready(weights=tmp_path / "other.safetensors").notes
        assert any(words in note for note in notes) is (said or bool(sets and "classes" in sets[0]))
    result = train(tmp_path / "run", "synthetic:classes=3,size=12,train=30,validation=0,test=0", epochs=1)
    weights = result.folder / "last.safetensors"
    assert not any(words in note for note in ready(weights=weights).notes)  # its spec is inside: only the classes differ
    assert any(words in note for note in ready(weights=weights, set=("act=gelu",)).notes)


def test_weights_of_other_images_are_noted_with_the_setting_that_takes_theirs(tmp_path: Path) -> None:
    theirs, imagenet = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}, {"mean": "imagenet", "std": "imagenet"}
    train(tmp_path / "first", epochs=1, normalize=theirs)
    weights = tmp_path / "first" / "last.safetensors"
    (note,) = [each for each in ready(weights=weights, normalize=imagenet).notes if "expect images" in each]
    setting = re.search(r"`--set-recipe '(.*)'` takes theirs", note)
    assert setting is not None
    options = TrainOptions(SPEC, recipe(normalize=imagenet), DATA, weights=weights, device="cpu", set_recipe=(setting[1],))
    again = runs.prepare_run(options, Console.silent()).session
    assert not any("expect images" in each for each in again.notes)
    assert again.feeds.preparation.std == (0.5, 0.6, 0.7)


# --- the folder of a run ---------------------------------------------------------------------------------------------------


FILES = {
    *("run.json", "spec.yaml", "recipe.yaml", "environment.json", "results.json"),
    *("metrics.jsonl", "metrics.csv", "timing.csv", "per_class.csv", "predictions.csv"),
    *("curves.svg", "curves.png", "confusion.svg", "confusion.png", "confusion.csv", "diagram.svg", "report.html"),
    *("best.safetensors", "last.safetensors", "checkpoints"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run with everything, pictures too."""
    return train(tmp_path_factory.mktemp("runs") / "run", set=("stages.layer2.width=24",), epochs=4)


def test_a_run_leaves_its_files_and_no_others(finished: Result) -> None:
    assert {path.name for path in finished.folder.iterdir()} == FILES
    assert len(list((finished.folder / "checkpoints").iterdir())) == 2


def test_the_spec_of_a_run_is_the_network_it_trained(finished: Result) -> None:
    asked = json.loads((finished.folder / "run.json").read_text(encoding="utf-8"))
    again = analyze(finished.folder / "spec.yaml")
    assert again.fingerprint == analyze(SPEC, set=["stages.layer2.width=24"]).fingerprint == asked["fingerprint"]
    assert again.total.params == sum(value.numel() for value in finished.module.parameters())


def test_the_recipe_of_a_run_is_the_one_it_used(finished: Result) -> None:
    again = read_recipe(finished.folder / "recipe.yaml")
    first = read_recipe(recipe(epochs=4))
    for name in ("name", "epochs", "batch_size", "optimizer", "optimizer_arguments", "schedule", "augment", "seed"):
        assert getattr(again, name) == getattr(first, name), name


def test_metrics_are_the_same_in_every_form(finished: Result) -> None:
    rows = read_rows((finished.folder / "metrics.jsonl").read_text(encoding="utf-8"))
    assert tuple(rows) == finished.rows
    with (finished.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(line["train_loss"]) for line in table] == [row.train_loss for row in rows]
    with (finished.folder / "timing.csv").open(encoding="utf-8", newline="") as file:
        assert [int(line["epoch"]) for line in csv.DictReader(file)] == [1, 2, 3, 4]


def test_results_are_those_of_the_best_weights_on_the_test_images(finished: Result) -> None:
    results = json.loads((finished.folder / "results.json").read_text(encoding="utf-8"))
    shares = [row.validation_accuracy or 0.0 for row in finished.rows]
    assert results["best_epoch"] == finished.best_epoch == 1 + shares.index(max(shares))
    assert results["best_validation_accuracy"] == max(shares)
    assert finished.test is not None
    assert results["test_accuracy"] == finished.test.accuracy
    assert all(row.test_accuracy is None for row in finished.rows)  # used once, at the end
    best = load_file(finished.folder / "best.safetensors")
    assert all(torch.equal(value, best[key]) for key, value in finished.module.state_dict().items())
    with (finished.folder / "confusion.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    assert sum(int(line[i + 1]) for i, line in enumerate(lines)) == round(finished.test.accuracy * 30)
    assert sum(int(cell) for line in lines for cell in line[1:]) == 30


def test_the_predictions_of_a_run_are_those_of_its_results(finished: Result) -> None:
    results = json.loads((finished.folder / "results.json").read_text(encoding="utf-8"))
    with (finished.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["validation"] * 24 + ["test"] * 30
    assert rows[0]["file"] == "image 0 of validation"
    shares = [[float(row[f"probability of {name}"]) for name in finished.classes] for row in rows]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in shares)
    assert [row["prediction"] for row in rows] == [finished.classes[row.index(max(row))] for row in shares]
    for split, key in (("validation", "best_validation_accuracy"), ("test", "test_accuracy")):
        right = [row["class"] == row["prediction"] for row in rows if row["split"] == split]
        assert sum(right) / len(right) == results[key]
    scores = {"validation": finished.validation, "test": finished.test}
    for split, each in scores.items():
        assert each is not None
        recalls = [row[i] / sum(row) for i, row in enumerate(each.confusion) if sum(row)]
        assert results[f"{split}_balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))
        assert results[f"{split}_macro_f1"] == each.macro_f1
        assert results[f"{split}_calibration_error"] == each.calibration_error
    assert finished.test_balanced_accuracy == results["test_balanced_accuracy"]
    assert finished.test_macro_f1 == results["test_macro_f1"]


def test_the_page_of_a_run_has_pictures_of_its_mistakes(finished: Result) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert finished.test is not None
    wrong = round(30 * (1 - finished.test.accuracy))
    assert page.count("data:image/png;base64") >= wrong > 0
    assert "no picture" not in page


@pytest.mark.usefixtures("plain")
def test_the_accuracy_of_mixed_images_is_reported_as_such(tmp_path: Path) -> None:
    lines: list[str] = []
    console = Console(lines.append, lambda *step: None, lambda *row: None)
    resnet_spec.train(SPEC, recipe(epochs=1, augment={"mixup": 0.4}), DATA, out=tmp_path / "run", device="cpu", console=console)
    assert [line for line in lines if "mixed images" in line]


def test_pictures_can_be_read(finished: Result) -> None:
    for name in ("curves", "confusion"):
        with Image.open(finished.folder / f"{name}.png") as image:
            image.load()
    for name in ("curves.svg", "confusion.svg", "diagram.svg"):
        assert ElementTree.parse(finished.folder / name).getroot().tag.endswith("svg")


def test_without_validation_the_last_epoch_counts_and_the_test_images_are_watched(
    tmp_path: Path, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(tmp_path / "run", UNVALIDATED)
    assert result.best_epoch == 0
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert result.test is not None
    assert [row.test_accuracy for row in result.rows][-1] == result.test.accuracy
    last = load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(value, last[key]) for key, value in result.module.state_dict().items())
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["best_epoch"] is None


@pytest.mark.usefixtures("plain")
def test_images_are_held_out_where_the_recipe_says_so(tmp_path: Path) -> None:
    result = train(tmp_path / "run", UNVALIDATED, hold_out=0.25)
    counts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"training": 60, "validation": 20, "test": 30}
    assert result.best_epoch in (1, 2)


@pytest.mark.usefixtures("plain")
def test_a_folder_that_has_something_in_it_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine", encoding="utf-8")
    found = refused(lambda: train(tmp_path / "run"))
    assert found.code == "run-exists"
    assert "--resume" not in found.help  # it is none of ours
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert refused(lambda: train(tmp_path / "file")).code == "run-exists"
    train(tmp_path / "other", epochs=1)
    before = {path: path.read_bytes() for path in (tmp_path / "other").rglob("*") if path.is_file()}
    found = refused(lambda: train(tmp_path / "other"))
    assert "--resume" in found.help
    assert {path: path.read_bytes() for path in (tmp_path / "other").rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("plain")
def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    train(tmp_path / "run", epochs=1)
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.usefixtures("plain")
def test_folders_without_a_name_of_their_own_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = [
        resnet_spec.train(SPEC, recipe(name="../a/b", epochs=1), DATA, device="cpu", console=Console.silent()).folder
        for _ in range(2)
    ]
    assert results == [Path("runs/small-..-a-b-1"), Path("runs/small-..-a-b-2")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.parametrize("name", ["results.json", "metrics.jsonl", "last.safetensors", "report.html"])
def test_a_pipe_in_the_folder_of_a_run_is_refused(finished: Result, tmp_path: Path, name: str) -> None:
    """Writing to a pipe that no process reads never ends."""
    run = tmp_path / "run"
    shutil.copytree(finished.folder, run)
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    found = refused(lambda: resnet_spec.resume(run, device="cpu"))
    assert found.code == "cannot-write"
    assert found.message == f"cannot write {run / name}: not a regular file"


@pytest.mark.usefixtures("plain")
def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    result = train(tmp_path / "run", overfit_batch=True, epochs=None, iterations=60, hold_out=0.2)
    assert result.rows[-1].train_accuracy > OVERFIT
    assert result.test is None
    counts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"training": 16, "validation": None, "test": None}
    again = resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent())  # it finds the same batch
    assert again.rows == result.rows


def test_the_page_of_a_resumed_run_has_the_command_that_started_it(
    tmp_path: Path, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run", epochs=1)
    path = tmp_path / "run" / "environment.json"
    reported = json.loads(path.read_text(encoding="utf-8")) | {"command": "the first command", "started": "long ago"}
    path.write_text(json.dumps(reported), encoding="utf-8")
    shown: list[Any] = []
    monkeypatch.setattr(session, "write_pictures", lambda path, run: shown.append(run.environment))
    resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent())
    assert shown == [reported]
    path.write_text("[", encoding="utf-8")
    resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent())
    assert set(shown[1]) == set(reported)


@pytest.mark.usefixtures("plain")
def test_weights_of_the_last_epoch_are_in_the_newest_checkpoint_too(tmp_path: Path) -> None:
    train(tmp_path / "run")
    found = checkpoints.newest(tmp_path / "run", pytest.fail)
    assert found is not None
    state: Any = found.state["module"]
    last = load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(state[key], last[key]) for key in last)


def test_a_stop_that_has_nothing_to_go_by_is_noted() -> None:
    words = "`early_stopping` has nothing to go by"
    stopping = {"patience": 2}
    assert words in describe_plan(ready(UNVALIDATED, early_stopping=stopping))
    assert words not in describe_plan(ready(early_stopping=stopping))


def test_algorithms_are_determined_during_the_run_only(tmp_path: Path) -> None:
    seen = set()
    train(
        tmp_path / "run",
        deterministic=True,
        epochs=1,
        on_step=lambda step: seen.add(torch.are_deterministic_algorithms_enabled()),
    )
    assert seen == {True}
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("channels", "stride", "off"), [(8, 2, True), (8, 1, False), (16, 2, False)])
def test_channels_last_is_off_where_torch_would_damage_memory(channels: int, stride: int, off: bool) -> None:
    """Its backward pass crashes now and then, and gives wrong gradients where it does not."""
    module = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 8, 1, stride), nn.Flatten(), nn.LazyLinear(4))
    module(torch.zeros(1, 3, 12, 12))
    started = ready(spec=module, input=(3, 12, 12))
    assert any("channels_last is off" in note for note in started.notes) is off
    ((part, *_), *_) = started.feeds.training.epoch(0)
    assert part.images.is_contiguous() is off


def test_the_memory_of_half_precision_is_less() -> None:
    memory = {precision: ready(precision=precision).subject.memory for precision in ("fp32", "bf16")}
    assert memory["fp32"] is not None
    assert memory["bf16"] is not None
    assert 0.5 < memory["bf16"](64) / memory["fp32"](64) < 0.6


@pytest.mark.parametrize(("has", "means"), [(True, "bf16"), (False, "fp32")])
def test_an_automatic_precision_is_settled_before_the_run(monkeypatch: pytest.MonkeyPatch, has: bool, means: str) -> None:
    """And is no longer automatic when it is resumed on another machine."""
    monkeypatch.setattr(runs, "computes_bf16", lambda device: has)
    started = ready(precision="auto")
    assert started.recipe.precision == means
    assert f"precision: {means}" in started.recipe.text
    assert ready(precision="fp16").recipe.precision == "fp16"


def test_patches_may_be_a_single_one(tmp_path: Path) -> None:
    assert analyze(SPEC, set="classes=7").output == (7,)
    assert analyze(SPEC, input=[3, 20, 20]).input == (3, 20, 20)  # type: ignore[arg-type]
    console = Console.silent()
    result = resnet_spec.train(SPEC, recipe(), DATA, out=tmp_path / "run", set_recipe="epochs=1", device="cpu", console=console)
    assert len(result.rows) == 1


def test_the_plan_says_what_will_be_done() -> None:
    started = ready(accumulate=2)
    plan = describe_plan(started)
    for words in (
        "small: 19,796 parameters",
        "80 training, 24 validation, 30 test",
        "2 epochs, 10 steps of 16 images, in 2 parts",
    ):
        assert words in plan
    assert all(line.isprintable() for line in plan.splitlines())
    assert "1 epoch, 5 steps" in describe_plan(ready(epochs=1))
    assert "a batch of 100 is all 80 images" in describe_plan(ready(batch_size=100))
    assert "1 image of each epoch's order left out" in describe_plan(ready("synthetic:classes=4,size=12,train=33"))


# --- compiling -------------------------------------------------------------------------------------------------------------


def compilations(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> int:
    """How often a spec is compiled while something is done."""
    count = 0
    compile_once = compiler.analyze

    def counted(*arguments: Any, **options: Any) -> Analysis:
        nonlocal count
        count += 1
        return compile_once(*arguments, **options)

    monkeypatch.setattr("resnet_spec.training.spec_subject.analyze", counted)
    act()
    return count


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 1),
        ({"init": "xavier_uniform"}, 1),
        ({"resize": [14, 14]}, 2),  # once more at the size of the recipe
        ({"data": "synthetic:classes=7,size=12,train=32"}, 2),  # once more with seven classes
    ],
)
def test_a_spec_is_compiled_once_and_once_more_as_the_document_that_is_kept(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], times: int
) -> None:
    assert compilations(monkeypatch, lambda: ready(**options)) == times + 1


def test_the_initialization_of_a_recipe_is_that_of_the_compiled_network() -> None:
    """It is set on the graph, which must be the graph of the patched spec."""
    spec = spec_subject.compile_spec(compiler.find(SPEC), ("stages.layer1.depth=2",))
    changed = spec_subject.set_init(spec, "xavier_uniform")
    again = compiler.analyze(compiler.find(SPEC), ["stages.layer1.depth=2", "init=xavier_uniform"])
    assert changed.analysis.graph == again.graph
    assert changed.analysis.spec.init == again.spec.init
    assert changed.patches == ("stages.layer1.depth=2", "init=xavier_uniform")


def test_the_estimate_at_another_size_is_that_of_the_network_compiled_at_it() -> None:
    started = ready(resize=[20, 20])
    analysis = analyze(SPEC, input=(3, 20, 20))
    assert started.subject.macs == analysis.total.macs
    assert started.subject.memory is not None
    expected = measure(analysis.graph, analysis.input, analysis.shapes, analysis.total, 16).training
    assert started.subject.memory(16) == expected


def test_a_base_that_is_edited_during_the_run_changes_nothing_of_its_report(tmp_path: Path) -> None:
    """The diagram is that of the network that was trained, even where the files it came from are gone."""
    (tmp_path / "base.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("spec: 1\nextends: base.yaml\nname: mine\n", encoding="utf-8")
    train(tmp_path / "whole", spec=tmp_path / "mine.yaml", epochs=1)

    def edit(step: int) -> None:
        (tmp_path / "base.yaml").write_text("spec: 1\n", encoding="utf-8")

    train(tmp_path / "run", spec=tmp_path / "mine.yaml", epochs=1, on_step=edit)
    assert (tmp_path / "run" / "diagram.svg").read_bytes() == (tmp_path / "whole" / "diagram.svg").read_bytes()
