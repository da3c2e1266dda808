"""What a run states before its first step, what it refuses there, and what it says where it ends early."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.cli.progress import Bar
from resnet_spec.diagnostics import DataError
from resnet_spec.language.schemas import schema_document
from resnet_spec.training import loop, runs, session, spec_subject
from resnet_spec.training.console import Console
from resnet_spec.training.options import TrainOptions
from resnet_spec.training.plan import describe_augment, describe_plan
from resnet_spec.training.recipe import Augment, read_recipe
from resnet_spec.training.schedule import factor, find_beyond, length_of
from tests.training.tiny import DATA, SPEC, ready, recipe, refused, train, write_folder

pytestmark = pytest.mark.torch
ALONE = "synthetic:classes=4,size=12,train=80,validation=0,test=0"
VECTOR_NORM = SPEC.replace("  fc:", "  bn: norm\n  fc:")  # a batch norm behind the pooling: one value per channel and image


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


def notes(**changes: Any) -> str:
    return "\n".join(line for line in describe_plan(ready(**changes)).splitlines() if line.startswith("note"))


# --- what the plan says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ({}, "none: every epoch has the same images"),
        ({"random_horizontal_flip": 0, "random_rotation": 0, "mixup": 0}, "none: every epoch has the same images"),
        ({"random_crop": {"padding": 4}, "random_horizontal_flip": 0.5}, "border of 4 pixels, random_horizontal_flip of 50%"),
        ({"random_rotation": 15, "cutmix": 1.0}, "random_rotation by up to 15 degrees, cutmix of 1"),
    ],
)
def test_the_plan_has_the_augmentations_that_change_images(augment: dict[str, object], words: str) -> None:
    found = read_recipe({"epochs": 1, "augment": augment}).augment
    assert words in describe_augment(found)


def test_every_augmentation_has_a_name_in_the_plan() -> None:
    every = Augment(1, "reflect", (0.1, 1, 1, 1), 0.5, 3, (2, 9), True, 0.1, mixup=0.2, cutmix=0.3)
    for word in schema_document("recipe")["properties"]["augment"]["properties"]:
        assert word in describe_augment(every)


def test_the_plan_says_what_is_frozen_and_how_much_is_trained() -> None:
    assert "trained " not in describe_plan(ready())
    started = ready(freeze=["conv1", "bn1"])
    frozen = sum(each.numel() for name, each in started.subject.module.named_parameters() if name.startswith(("conv1", "bn1")))
    assert f"trained   {19_796 - frozen:,} of 19,796 parameters; frozen: conv1, bn1" in describe_plan(started)
    module = nn.Sequential(nn.Flatten(), nn.Linear(432, 4))
    module[1].bias.requires_grad_(False)
    assert "trained   1,728 of 1,732 parameters" in describe_plan(ready(spec=module, input=(3, 12, 12)))


def test_the_plan_says_that_nothing_is_held_out() -> None:
    plan = describe_plan(ready(ALONE))
    assert "choice    the last epoch, since nothing is held out" in plan
    assert "`hold_out: 0.1` in the recipe" in plan
    assert "nothing is held out" not in describe_plan(ready(ALONE, hold_out=0.2))


@pytest.mark.parametrize("of", ["spec", "module"])
def test_a_folder_without_a_recipe_is_trained_by_one_for_own_images(tmp_path: Path, of: str) -> None:
    data = write_folder(tmp_path / "data")
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    given: Any = {"spec": SPEC} if of == "spec" else {"spec": module, "input": (3, 32, 32)}
    started = runs.prepare_run(TrainOptions(data=data, device="cpu", workers=0, **given), Console.silent()).session
    plan = describe_plan(started)
    assert started.recipe.name == "scratch-small"
    assert "no recipe is named; `scratch-small` is the one for folders of images" in plan
    assert f"a border of {4 if of == 'module' else 2} pixels" in plan  # an eighth of the size
    named = TrainOptions(data=data, device="cpu", workers=0, recipe="scratch-small", **given)
    assert "no recipe is named" not in describe_plan(runs.prepare_run(named, Console.silent()).session)


def test_weights_and_a_folder_without_a_recipe_are_fine_tuned(tmp_path: Path) -> None:
    """The recipe that the spec names, by which its weights were trained, has a rate that would undo them."""
    weights = tmp_path / "weights.safetensors"
    save_file(resnet_spec.build("cifar_resnet20").state_dict(), weights)
    data = write_folder(tmp_path / "data")
    options = TrainOptions(spec="cifar_resnet20", weights=weights, data=data, device="cpu", workers=0)
    started = runs.prepare_run(options, Console.silent()).session
    assert started.recipe.name == "fine-tune"
    assert "no recipe is named; `fine-tune` is the one for weights and a folder of images" in describe_plan(started)
    own = runs.prepare_run(replace(options, weights=None), Console.silent()).session
    assert own.recipe.name == "he2015-cifar"


# --- the schedule and the length of the run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": {"op": "multistep", "milestones": [1, 2]}}, "milestone 2 lies beyond the run of 2 epochs"),
        ({"schedule": {"op": "multistep", "milestones": [30, 60]}}, "30 and 60 lie beyond the run of 2 epochs (epochs), so"),
        ({"warmup": {"length": 3}}, "the warm-up of 3 epochs does not end within the run of 2 epochs"),
        ({"epochs": None, "iterations": 9, "warmup": {"length": 2}}, "does not end within the run of 9 iterations"),
        ({"schedule": {"op": "multistep", "milestones": [9], "unit": "iterations"}}, ""),
        ({"warmup": {"length": 1}}, ""),
    ],
)
def test_what_lies_beyond_the_run_is_noted(changes: dict[str, Any], words: str) -> None:
    """A run of DATA has 5 steps an epoch."""
    found = notes(**changes)
    assert words in found
    assert ("--scale-schedule" in found) == bool(words)


@pytest.mark.parametrize(
    ("name", "patches", "milestones", "warmup"),
    [
        ("torchvision-v1", ["epochs=30"], (10, 20), None),
        ("torchvision-v1", ["iterations=300"], (100, 200), None),
        ("he2015-cifar", ["epochs=10"], (5, 7.5), None),
        ("he2015-cifar-warmup", ["epochs=32"], (16, 24), 1.0),
        ("torchvision-v1", ["epochs=30", "schedule.milestones=[7]"], (7,), None),  # written for this length
        ("torchvision-v1", [], (30, 60), None),
        ("recipe: 1\nextends: torchvision-v1\nepochs: 9\nwarmup: {length: 2}\n", [], (3, 6), 2.0),
    ],
)
def test_a_schedule_is_scaled_by_the_length_it_was_written_for(
    name: str, patches: list[str], milestones: tuple[float, ...], warmup: float | None
) -> None:
    found = read_recipe(name, patches, scaled=True)
    assert found.schedule.milestones == milestones
    assert (None if found.warmup is None else found.warmup.length) == warmup
    again = read_recipe(found.text)  # as the run keeps it
    assert (again.schedule, again.warmup) == (found.schedule, found.warmup)
    assert not list(find_beyond(found, length_of(found, 100)))


def test_a_scaled_schedule_has_the_rates_of_the_long_one_at_the_same_share_of_the_run() -> None:
    whole, short = read_recipe("he2015-cifar"), read_recipe("he2015-cifar", ["epochs=16"], scaled=True)
    lengths = [length_of(found, 100) for found in (whole, short)]
    for share in (0.0, 0.2, 0.499, 0.5, 0.74, 0.75, 0.999):
        rates = [
            factor(found.schedule, found.warmup, int(share * length.steps), length)
            for found, length in zip((whole, short), lengths, strict=True)
        ]
        assert rates[0] == rates[1], share


def test_a_schedule_in_other_units_than_its_length_is_not_scaled() -> None:
    found = refused(lambda: read_recipe("he2015-imagenet", ["epochs=12"], scaled=True))
    assert found.code == "recipe-length"
    assert "600,000 iterations" in found.message
    assert "schedule.milestones=" in found.help


# --- one image before a batch norm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "refuses"),
    [
        ({"batch_size": 1}, True),
        ({"batch_size": 4, "accumulate": 4}, True),
        ({"batch_size": 7, "accumulate": 4}, True),  # parts of 1, 2, 2 and 2
        ({"batch_size": 8, "accumulate": 4}, False),
        ({"batch_size": 1, "spec": SPEC}, False),  # its batch norms are over maps
        ({"batch_size": 1, "set": ("norm={op: group_norm, num_groups: 8}",)}, False),
        ({"batch_size": 1, "freeze": ["bn"], "set": ("stages.layer2.stride=1",)}, False),  # a frozen norm has its statistics
    ],
)
def test_one_image_before_a_batch_norm_over_vectors_is_refused_before_the_run(changes: dict[str, Any], refuses: bool) -> None:
    options: dict[str, Any] = {"spec": VECTOR_NORM, **changes}
    if not refuses:
        started = ready(**options)
        parts = next(iter(started.feeds.training.epoch(0)))
        started.subject.module.train()
        for name in options.get("freeze", ()):
            started.subject.module.get_submodule(name).eval()
        started.subject.module(parts[0].images)  # torch agrees
        return
    found = refused(lambda: ready(**options))
    assert found.code == "recipe-batch"
    assert "the batch norm `bn` cannot normalize one value per channel" in found.message
    assert "group norm" in found.help
    assert "--batch-size" in found.help


def test_the_last_part_of_an_epoch_has_no_single_image() -> None:
    """81 images in batches of 16: the last one is left out, and the plan says so."""
    started = ready(DATA.replace("train=80", "train=81"), VECTOR_NORM)
    assert "1 image of each epoch's order left out" in describe_plan(started)


# --- a run that never began ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("error", [DataError, MemoryError])
def test_nothing_is_left_of_a_run_that_took_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error([]) if error is DataError else error()

    monkeypatch.setattr(loop.Loop, "_step", fail)
    if existed:
        (tmp_path / "run").mkdir()
    with pytest.raises(resnet_spec.ResnetSpecError):
        train(tmp_path / "run")
    assert [path.name for path in tmp_path.rglob("*")] == (["run"] if existed else [])


@pytest.mark.usefixtures("plain")
def test_a_run_that_began_is_kept_whatever_ends_it(tmp_path: Path) -> None:
    def fail(step: int) -> None:
        if step == 3:
            raise DataError([])

    with pytest.raises(DataError):
        train(tmp_path / "run", on_step=fail)
    assert (tmp_path / "run" / "run.json").exists()
    resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent())


# --- sizes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "resize", "crop"),
    [
        ({"resize": [20, 20], "crop": 16}, (30, 30), (24, 24)),
        ({"resize": 20, "crop": 16}, 30, (24, 24)),
        ({"resize": [16, 16]}, (24, 24), None),
        ({"resize": 16}, 24, (24, 24)),
        ({}, (24, 24), None),
    ],
)
def test_a_recipe_follows_the_input_of_the_command_line(
    changes: dict[str, Any], resize: object, crop: tuple[int, int] | None
) -> None:
    started = ready(set=("input=3x24x24",), **changes)
    prepared = started.feeds.preparation
    assert (prepared.size, prepared.resize, prepared.crop) == ((24, 24), resize, crop)
    plan = describe_plan(started)
    assert "images    3x24x24" in plan
    assert "is given" not in plan
    assert ("the recipe follows `--set input`" in plan) == bool(changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"resize": [16, 16]}, "resize"), ({"resize": 16}, "resize"), ({"resize": [20, 24], "crop": 16}, "crop")],
)
def test_a_network_follows_the_size_of_its_recipe(changes: dict[str, Any], key: str) -> None:
    """One size, in the spec that is kept as in the figures: those of the same network with that input."""
    started = ready(**changes)
    assert started.feeds.preparation.size == started.subject.input[1:] == (16, 16)
    assert resnet_spec.analyze(started.subject.spec).input == (3, 16, 16)
    note = f"the network takes 3x16x16, as `{key}` of the recipe says; the spec has 3x12x12 (`--set input=3x12x12` keeps that)"
    assert note in started.notes
    other = ready(set=("input=3x16x16",)).subject
    assert (started.subject.fingerprint, started.subject.macs) == (other.fingerprint, other.macs)
    kept = ready(set=("input=3x12x12",), **changes)
    assert kept.subject.input == (3, 12, 12)
    assert not any("takes 3x16x16" in note for note in kept.notes)


def test_a_size_for_which_a_network_would_be_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the accepted sizes are not solved, a layer may be found to depend on the input only when it is compiled again."""
    monkeypatch.setattr(spec_subject, "check_size", lambda *_: None)
    monkeypatch.setattr(runs, "check_size", lambda *_: None)
    flat = SPEC.replace("  avgpool: {op: adaptive_avg_pool2d, output_size: 1}\n", "")
    found = refused(lambda: ready(spec=flat, resize=[16, 16]))
    assert found.code == "recipe-crop"
    assert found.span is not None
    assert "images of 3x16x16, and small is built for 3x12x12" in found.message
    assert "`--set input=3x12x12`" in found.help


def test_a_module_that_is_given_images_of_another_size_is_noted() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    assert "the network is built for 12x12 and is given 16x16" in ready(spec=module, input=(3, 12, 12), resize=[16, 16]).notes


def test_a_report_has_one_size(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, epochs=1, resize=[16, 16])
    diagram = (run / "diagram.svg").read_text(encoding="utf-8")
    assert "3x16x16" in diagram
    assert "12x12" not in diagram
    assert "3x16x16" in (run / "spec.yaml").read_text(encoding="utf-8")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"\d+x12x12", re.sub(r"<li>.*?</li>", "", page)) == []


def test_two_sizes_on_the_command_line_are_refused(tmp_path: Path) -> None:
    found = refused(
        lambda: resnet_spec.train(SPEC, recipe(), DATA, set="input=3x24x24", set_recipe="resize=[16, 16]", out=tmp_path / "run")
    )
    assert found.code == "recipe-crop"
    assert "24x24" in found.message
    assert "16x16" in found.message


# --- the end ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_run_that_stops_early_says_why(tmp_path: Path) -> None:
    lines: list[str] = []
    console = Console(lines.append, lambda *step: None, lambda *row: None)
    stopping = recipe(epochs=9, optimizer={"op": "SGD", "lr": 0.0}, schedule=None, early_stopping={"patience": 2})
    result = resnet_spec.train(SPEC, stopping, DATA, out=tmp_path / "run", device="cpu", console=console)
    assert len(result.rows) == 3
    assert result.stopped_early == (
        "early, after epoch 3 of 9: the validation accuracy has not grown for 2 epochs (`early_stopping` in the recipe)"
    )
    assert f"stopped   {result.stopped_early}" in lines
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["stopped_early"] == result.stopped_early
    lines.clear()
    again = resnet_spec.resume(tmp_path / "run", device="cpu", console=console)
    assert any(line.startswith("finished  the run has trained its 3 epochs") for line in lines)
    assert again.stopped_early == result.stopped_early


@pytest.mark.usefixtures("plain")
def test_a_run_of_its_whole_length_did_not_stop_early(tmp_path: Path) -> None:
    result = train(tmp_path / "run", epochs=1, early_stopping={"patience": 5})
    assert result.stopped_early == ""
    assert "stopped_early" not in json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))


# --- while it trains -------------------------------------------------------------------------------------------------------


def progress(bar: Bar, capsys: pytest.CaptureFixture[str], steps: list[float], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a run of 1,000 steps whose first ones end at some seconds after its start."""
    now = clock = bar.started
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    for number, seconds in enumerate(steps, 1):
        clock = now + seconds
        bar._stepped(1, number, 1000, 16 * number, seconds, lambda: 1.0)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("pace", [0.01, 0.5, 2.0])
def test_the_time_that_is_left_is_estimated_within_seconds_where_there_is_no_terminal(
    pace: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar()
    bar.terminal = False
    lines = progress(bar, capsys, [pace * (number + 1) for number in range(int(5 / pace))], monkeypatch)
    assert len(lines) == 1  # the next one comes half a minute later
    assert " left" in lines[0]


def test_what_takes_long_is_named_where_nothing_else_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnet_spec.cli import progress as module

    monkeypatch.setattr(module, "PATIENCE", 0.05)
    bar = Bar()
    with bar.waiting("reading the data"):
        time.sleep(0.3)
    with bar.waiting("training"):
        bar.say("something else")
        time.sleep(0.2)
    assert capsys.readouterr().out.splitlines() == ["reading the data", "something else"]


def test_the_command_scales_a_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    command = ["train", "small.yaml", "--data", DATA, "--recipe", "he2015-cifar", "--epochs", "8", "--dry-run"]
    done = CliRunner().invoke(group, command)
    assert "milestones 32,000 and 48,000 lie beyond the run of 8 epochs" in done.output
    scaled = CliRunner().invoke(group, [*command, "--scale-schedule"])
    assert (scaled.exit_code, "lie beyond" in scaled.output) == (0, False)
