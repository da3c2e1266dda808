"""Settings of training by the names of other trainers: what is meant, with fixes that lead to a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from resnet_spec.diagnostics import Diagnostic, RecipeError, Source
from resnet_spec.diagnostics.edits import apply_edits
from resnet_spec.diagnostics.repairing import repair
from resnet_spec.training.recipe import Recipe, read_recipe

BASE = "recipe: 1\nepochs: 3\nbatch_size: 32\n"


def check(source: Source) -> Sequence[Diagnostic]:
    try:
        return read_recipe(source.text).warnings
    except RecipeError as error:  # its places are those of a text that is read under another name
        texts = {edit.span.source for finding in error.diagnostics for fix in finding.fixes for edit in fix.edits}
        assert all(each.text == source.text for each in texts)
        return error.diagnostics


def repaired(text: str) -> Recipe:
    """The recipe after its fixes, in rounds."""
    for _ in range(6):
        try:
            return read_recipe(text)
        except RecipeError as error:
            fix = next(finding.fixes[0] for finding in error.diagnostics if finding.fixes)
            text = apply_edits(fix.edits[0].span.source, fix.edits)
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("learning_rate: 0.5", "lr", 0.5),
        ("lr: 1e-3", "lr", 0.001),
        ("optimiser: {op: Adam, lr: 0.01}", "optimizer", "Adam"),
        ("optimizer: adamw", "lr", 0.001),
        ("optimizer: {type: Adam, learning_rate: 0.01}", "optimizer", "Adam"),
        ("scheduler: cosine", "schedule.op", "cosine"),
        ("schedule: CosineAnnealingLR", "schedule.op", "cosine"),
        ("lr_scheduler: OneCycleLR", "schedule.op", "one_cycle"),
        ("warmup_epochs: 2", "warmup.length", 2),
        ("warmup: 2", "warmup.length", 2),
        ("early_stopping: 7", "patience", 7),
        ("patience: 7", "patience", 7),
        ("ema: 0.99", "ema", (0.99, 1)),
        ("label_smooth: 0.2", "label_smoothing", 0.2),
        ("smoothing: 0.2", "label_smoothing", 0.2),
        ("val_split: 0.1", "split", (0.1, 0.2)),
        ("grad_clip: 1.5", "clip_norm", 1.5),
        ("gradient_accumulation_steps: 4", "accumulate", 4),
        ("precision: bfloat16", "precision", "bf16"),
        ("transforms: {random_horizontal_flip: 0.5}", "augment.flip", 0.5),
        ("mixup: 0.3", "augment.mixup", 0.3),
        ("augment: [random_crop, random_horizontal_flip]", "augment.crop", 4),
        ("random_seed: 5", "seed", 5),
    ],
)
def test_the_setting_that_is_meant_is_set(line: str, attribute: str, value: object) -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe(BASE + line + "\n")
    assert all(finding.help for finding in error.value.diagnostics)
    found: object = repaired(BASE + line + "\n")
    if attribute == "lr":
        assert isinstance(found, Recipe)
        assert found.optimizer_arguments["lr"] == value
        return
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_several_settings_of_the_optimizer_come_together() -> None:
    found = repaired(BASE + "lr: 0.2\nweight_decay: 1e-4\nmomentum: 0.9\n")
    assert found.optimizer_arguments == {"lr": 0.2, "weight_decay": 1e-4, "momentum": 0.9}


def test_an_optimizer_and_its_rate_come_together() -> None:
    found = repaired("recipe: 1\nepochs: 3\nbatch: 32\nlearning_rate: 0.1\noptimiser: Adam\n")
    assert (found.optimizer, found.optimizer_arguments, found.batch_size) == ("Adam", {"lr": 0.1}, 32)


def test_a_recipe_below_a_key_is_taken_out() -> None:
    found = repaired("recipe: 1\ntrain:\n  epochs: 4\n  batch_size: 8\n")
    assert (found.epochs, found.batch_size) == (4, 8)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("num_workers: 4", "`train --workers`"),
        ("device: cuda", "`train --device`"),
        ("loss: cross_entropy", "label_smoothing"),
        ("classes: 10", "in the spec"),
        ("model: resnet18", "in the spec"),
    ],
)
def test_what_is_no_part_of_a_recipe_is_named(line: str, words: str) -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe(BASE + line + "\n")
    (finding,) = error.value.diagnostics
    assert words in finding.help


def test_a_fix_that_would_not_work_is_not_suggested() -> None:
    """`batch: many` is no number under its right name, either."""
    with pytest.raises(RecipeError) as error:
        read_recipe("recipe: 1\nepochs: 3\nbatch: many\n")
    (finding,) = error.value.diagnostics
    assert finding.help == "did you mean `batch_size`?"
    after = [fix for fix in finding.fixes if fix.applicability == "likely"]
    assert after == []


def check_again(source: Source, known: Sequence[Diagnostic], each: Source) -> Sequence[Diagnostic]:
    return known if each is source else check(each)


def test_all_fixes_of_a_recipe_are_made_in_rounds() -> None:
    text = BASE.replace("batch_size", "batch") + "optim: sgd  # plain\nwd: 5e-4\nscheduler: {op: cosine}\nval_split: 0.1\n"
    first = None
    for _ in range(8):
        try:
            first = read_recipe(text)
            break
        except RecipeError as error:
            source = next(edit.span.source for f in error.diagnostics for fix in f.fixes for edit in fix.edits)
            done = repair(source, partial(check_again, source, error.diagnostics), ("safe", "likely"))
            assert done.source.text != text
            text = done.source.text
    assert first is not None
    assert "# plain" in text
    assert first.optimizer_arguments["weight_decay"] == 5e-4
