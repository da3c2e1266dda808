"""Numbers at and beyond the bounds of a recipe: each is refused at its place, or trains without a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.cli import group
from resnet_spec.diagnostics import RecipeError, ResnetSpecError
from resnet_spec.language.schemas import schema_document
from resnet_spec.training.batches import mix
from resnet_spec.training.images import _transforms
from resnet_spec.training.recipe import Augment, Schedule, read_recipe
from resnet_spec.training.schedule import Length, factor
from tests.training.tiny import Ear, loop_of, ready, recipe

pytestmark = [pytest.mark.torch, pytest.mark.training]
NUMBERS = (1e308, -1e308, 10**25, 10**400, 5e-324, 1e9, 2**31, 1e6, 1000, 1, 0, -1)
SLOW = ("epochs", "iterations", "num_ops")  # large ones take as long as they say


def numeric(schema: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The numeric fields of a schema, by path, and the schema of each."""
    if isinstance(schema, dict):
        kinds = schema.get("type")
        if {"number", "integer"} & set(kinds if isinstance(kinds, list) else [kinds]):
            yield path, schema
        for key, value in schema.items():
            yield from numeric(value, (*path, key))
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from numeric(value, (*path, number))


FIELDS = list(numeric(schema_document("recipe")["properties"]))


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=["/".join(map(str, path)) for path, _ in FIELDS])
def test_every_number_of_a_recipe_has_bounds(path: tuple[Any, ...], field: Any) -> None:
    assert {"minimum", "maximum"} <= field.keys()


BASES: dict[str, dict[str, object]] = {
    "lr": {"optimizer": {"op": "SGD", "lr": 0.05}},
    "momentum": {"optimizer": {"op": "SGD", "lr": 0.05, "momentum": 0.9}},
    "eps": {"optimizer": {"op": "Adam", "lr": 0.05}},
    "weight_decay": {"optimizer": {"op": "AdamW", "lr": 0.05}},
    "gamma": {"schedule": {"op": "multistep", "milestones": [0.01] * 400}},
    "power": {"schedule": {"op": "polynomial"}},
    "rise": {"schedule": {"op": "one_cycle"}},
    "length": {"warmup": {"length": 1}},
    "mixup": {"augment": {}},
    "cutmix": {"augment": {}},
    "random_erasing": {"augment": {}},
    "std": {"normalize": {"mean": [0.5], "std": [0.5]}},
    "mean": {"normalize": {"mean": [0.5], "std": [0.5]}},
    "decay": {"ema": {"decay": 0.9}},
    "every": {"ema": {"decay": 0.9}},
    "patience": {"early_stopping": {"patience": 1}},
    "minutes": {"save": {}},
    "steps": {"save": {}},
    **{key: {} for key in ("batch_size", "eval_batch_size", "accumulate", "seed", "label_smoothing", "hold_out", "clip_norm")},
    **{key: {} for key in ("epochs", "iterations", "resize", "crop", "segments")},
}


@settings(max_examples=60)
@given(st.sampled_from(sorted(BASES)), st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_step_of_training_with_it(field: str, number: float) -> None:
    changes: dict[str, Any] = dict(BASES[field])
    section = next(iter(changes), None)
    value: object = [number] if field in ("mean", "std") else number
    if section is None:
        changes[field] = value
    else:
        changes[section] = {**changes[section], field: value}
    changes.setdefault("epochs", 1)
    if field == "iterations":
        changes["epochs"] = None
    try:
        read_recipe(recipe(**changes))
    except RecipeError as error:
        refusals = error.diagnostics
    else:
        refusals = ()
    if refusals:
        assert all(finding.span is not None for finding in refusals)
        return
    if field in SLOW and number > 3:
        return
    with contextlib.suppress(ResnetSpecError):  # the batch may be too small, or the run diverge
        loop_of(ready(**changes), Ear()).run()


def test_a_rate_that_overflows_is_reported(tmp_path: Path) -> None:
    from tests.training.tiny import refused, train

    schedule = {"op": "multistep", "milestones": [0.001] * 400, "gamma": 1000}
    found = refused(lambda: train(tmp_path / "run", schedule=schedule, epochs=1))
    assert found.code == "loss-not-finite"
    assert factor(Schedule("multistep", (0.0,) * 400, 1000.0), None, 0, Length(9, 3)) == float("inf")


@pytest.mark.parametrize("ratio", [100.0, 0.01, 1000.0, 0.001])
def test_a_crop_of_a_ratio_that_no_image_has(ratio: float) -> None:
    import torch

    from resnet_spec.data.preparation import Preparation

    preparation = Preparation(3, (8, 8), 8, "bilinear", (8, 8), (0.5,) * 3, (0.25,) * 3)
    (crop,) = _transforms(Augment(resized_crop=(0.1, 1.0, ratio, ratio)), preparation)
    for size in ((12, 12), (1, 1), (1, 30), (30, 1)):
        assert crop(torch.zeros(3, *size, dtype=torch.uint8)).shape == (3, 8, 8)


@pytest.mark.parametrize("alpha", [5e-324, 1e-30, 1e6])
def test_images_are_mixed_with_any_alpha(alpha: float) -> None:
    import torch

    batch = mix(torch.rand(4, 3, 5, 5), torch.arange(4), 4, Augment(mixup=alpha, cutmix=alpha), np.random.default_rng(0))
    assert torch.isfinite(batch.images).all()
    assert torch.isfinite(batch.targets).all()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "cifar_resnet20", "--lr", "1e308"),
        ("train", "cifar_resnet20", "--lr", "nan"),
        ("train", "cifar_resnet20", "--seed", "1" * 23),
        ("train", "cifar_resnet20", "--workers", "1000000"),
        ("train", "cifar_resnet20", "--set-recipe", "schedule={op: multistep, milestones: [1], gamma: 1e30}"),
        ("train", "cifar_resnet20", "--set-recipe", "augment={random_resized_crop: {ratio: [1e9, 1e9]}}"),
        ("build", "cifar_resnet20", "--seed", "1" * 23),
        ("build", "cifar_resnet20", "--seed", "-" + "1" * 23),
    ],
    ids=" ".join,
)
def test_commands_refuse_numbers_beyond_the_bounds(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(group, list(arguments))
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
