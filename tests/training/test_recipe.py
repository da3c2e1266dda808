"""Recipes: what they say is what is written, a mistake is reported at its place, and the text of one reads back as the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.language.conformance import known_keywords
from resnet_spec.language.library import shipped_names, shipped_path, shipped_root
from resnet_spec.language.reader import MappingNode, from_data, parse
from resnet_spec.language.schemas import schema_document
from resnet_spec.language.validation import validate_recipe
from resnet_spec.training.recipe import Augment, Schedule, Warmup, read_recipe, reduce_to_one_batch, settle_precision
from tests.language.test_validation import keywords_in

SHIPPED = shipped_names("recipe")
SCHEMA = schema_document("recipe")
FILE = Draft7Validator(SCHEMA)


def written(name: str) -> dict[str, Any]:
    path = shipped_path(name, "recipe")
    assert path is not None
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def refused(recipe: str | Path | dict[str, object], *patches: str) -> list[Diagnostic]:
    with pytest.raises(ResnetSpecError) as caught:
        read_recipe(recipe, patches)
    return list(caught.value.diagnostics)


# --- those that are shipped -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_read_without_warnings(name: str) -> None:
    found = read_recipe(name)
    assert found.name == name
    assert found.warnings == ()
    assert {"about", "source", "accuracy"} <= written(name).keys()


def test_cifar_is_trained_as_the_paper_says() -> None:
    """He et al. 2016, section 4.2: "We use a weight decay of 0.0001 and momentum of 0.9 ... These models are trained with a
    mini-batch size of 128 ... We start with a learning rate of 0.1, divide it by 10 at 32k and 48k iterations, and terminate
    training at 64k iterations ... 4 pixels are padded on each side, and a 32x32 crop is randomly sampled from the padded image
    or its horizontal flip."
    """
    found = read_recipe("he2015-cifar")
    assert (found.optimizer, found.optimizer_arguments) == ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001})
    assert (found.batch_size, found.iterations, found.epochs) == (128, 64_000, None)
    assert found.schedule == Schedule("multistep", (32_000.0, 48_000.0), 0.1, "iterations")
    assert found.augment == Augment(crop=4, flip=0.5)
    assert (found.mean, found.warmup, found.no_decay) == ("data", None, ())


def test_110_layers_are_warmed_up_as_the_paper_says() -> None:
    """The same section: "So we use 0.01 to warm up the training until the training error is below 80% (about 400 iterations),
    and then go back to 0.1 and continue training. The rest of the learning schedule is as done previously."
    """
    found, plain = read_recipe("he2015-cifar-warmup"), read_recipe("he2015-cifar")
    assert found.warmup is not None
    assert found.lr * found.warmup.start == pytest.approx(0.01)
    assert (found.warmup.shape, found.warmup.until, found.warmup.unit) == ("constant", 0.8, "iterations")
    assert found.warmup.length >= 400
    for field in ("optimizer_arguments", "batch_size", "iterations", "schedule", "augment", "mean", "std"):
        assert getattr(found, field) == getattr(plain, field), field


def test_imagenet_is_trained_as_the_paper_says() -> None:
    """He et al. 2016, section 3.4: "SGD with a mini-batch size of 256. The learning rate starts from 0.1 and is divided by 10
    when the error plateaus, and the models are trained for up to 60 x 10^4 iterations. We use a weight decay of 0.0001 and a
    momentum of 0.9. ... we do not use dropout".
    """
    found = read_recipe("he2015-imagenet")
    assert (found.optimizer, found.optimizer_arguments) == ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001})
    assert (found.batch_size, found.iterations, found.schedule.gamma) == (256, 600_000, 0.1)
    assert (found.resize, found.crop, found.augment.flip) == (256, (224, 224), 0.5)


def test_torchvisions_recipe_is_that_of_its_reference_script() -> None:
    """references/classification/train.py: --epochs 90 --lr 0.1 --momentum 0.9 --wd 1e-4 --lr-step-size 30 --lr-gamma 0.1
    --lr-scheduler steplr --label-smoothing 0 --val-resize-size 256 --val-crop-size 224 --train-crop-size 224, 8 GPUs of 32.
    """
    found = read_recipe("torchvision-v1")
    assert (found.optimizer, found.optimizer_arguments) == ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001})
    assert (found.epochs, found.batch_size, found.label_smoothing) == (90, 8 * 32, 0.0)
    assert found.schedule == Schedule("multistep", tuple(float(e) for e in range(30, 90, 30)), 0.1, "epochs")
    assert (found.resize, found.crop) == (256, (224, 224))
    least, most, narrow, wide = found.augment.resized_crop or (0, 0, 0, 0)
    assert (least, most, narrow) == (0.08, 1.0, 0.75)
    assert wide == pytest.approx(4 / 3, abs=1e-4)
    assert (found.augment.flip, found.mean, found.std) == (0.5, "imagenet", "imagenet")


def test_what_is_not_written_has_the_default_that_the_schema_says() -> None:
    found = read_recipe({"epochs": 1})
    fields = SCHEMA["properties"]
    for name in ("batch_size", "eval_batch_size", "accumulate", "seed", "label_smoothing", "interpolation", "hold_out"):
        assert getattr(found, name) == fields[name]["default"], name
    for name in ("precision", "channels_last", "compile", "segments", "deterministic", "sync_batch_norm"):
        assert getattr(found, name) == fields[name]["default"], name
    assert {"op": found.optimizer, **found.optimizer_arguments} == fields["optimizer"]["default"]
    assert found.schedule == Schedule(fields["schedule"]["default"])
    assert {"validation": found.split[0], "test": found.split[1]} == fields["split"]["default"]
    assert {"mean": found.mean, "std": found.std} == fields["normalize"]["default"]
    assert {"minutes": found.save_minutes, "keep": found.keep} == fields["save"]["default"]


def test_what_is_written_with_its_default_is_what_is_not_written() -> None:
    """The defaults of nested fields, too: each group is written with nothing but what it needs, and in full."""
    augment = SCHEMA["properties"]["augment"]["properties"]

    def groups(full: bool) -> dict[str, object]:
        def group(schema: dict[str, Any], **needed: object) -> dict[str, object]:
            defaults = {
                name: field["default"]
                for name, field in schema["properties"].items()
                if field is not True and "default" in field
            }
            return {**(defaults if full else {}), **needed}

        inner = {name: group(augment[name]) for name in ("random_resized_crop", "rand_augment", "random_erasing")}
        members = {each["if"]["properties"]["op"]["const"]: each["then"] for each in SCHEMA["properties"]["schedule"]["allOf"]}
        return {
            "augment": {**inner},
            "warmup": group(SCHEMA["properties"]["warmup"], length=5),
            "ema": group(SCHEMA["properties"]["ema"]),
            "schedule": group(members["one_cycle"], op="one_cycle"),
        }

    bare, full = (read_recipe({"epochs": 1, **groups(each)}) for each in (False, True))
    assert bare.augment.resized_crop == pytest.approx(full.augment.resized_crop, abs=1e-4)
    assert (bare.augment.rand_augment, bare.augment.erasing) == (full.augment.rand_augment, full.augment.erasing)
    assert bare.augment.erasing_scale == full.augment.erasing_scale
    assert (bare.warmup, bare.ema, bare.schedule) == (full.warmup, full.ema, full.schedule)


@pytest.mark.parametrize("op", ["constant", "multistep", "cosine", "one_cycle", "polynomial"])
def test_the_defaults_of_code_are_those_of_recipes(op: str) -> None:
    """Those of the schema are the only ones that a recipe takes; the dataclasses repeat them for code that makes one."""
    milestones = {"milestones": [3]} if op == "multistep" else {}
    found = read_recipe({"epochs": 1, "schedule": {"op": op, **milestones}, "warmup": {"length": 2}})
    assert found.schedule == Schedule(op, (3.0,) if milestones else ())  # type: ignore[arg-type]
    assert found.warmup == Warmup(2.0)
    assert found.augment == Augment()


def test_an_aspect_ratio_that_is_not_written_is_exactly_four_thirds() -> None:
    found = read_recipe({"epochs": 1, "augment": {"random_resized_crop": {}}})
    assert found.augment.resized_crop == (0.08, 1.0, 3 / 4, 4 / 3)


# --- values changed later -------------------------------------------------------------------------------------------------


def test_a_changed_recipe_keeps_the_places_of_its_values_and_its_warnings(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = (
        "recipe: 1\n# a\n# b\nepochs: 3\nseed: 007\nprecision: auto\noptimizer:\n  op: SGD\n  lr: 0.05\naugment: {mixup: 0.2}\n"
    )
    path.write_text(text, encoding="utf-8")
    found = read_recipe(path)
    (warning,) = found.warnings
    for changed in (
        settle_precision(found, True),
        settle_precision(found, False),
        reduce_to_one_batch(found),
        reduce_to_one_batch(settle_precision(found, True)),
    ):
        assert changed.warnings == (warning,)
        assert str(changed.place("optimizer", "lr")) == str(found.place("optimizer", "lr")) == f"{path}:9:3"
        assert str(changed.place("precision")) == f"{path}:6:1"
        assert read_recipe(changed.text) == changed
    assert settle_precision(found, True).precision == "bf16"
    assert settle_precision(found, False) == read_recipe(path, ["precision=fp32"])


def test_one_batch_is_trained_without_anything_random() -> None:
    found = read_recipe("cifar-fast", ["ema.decay=0.9", "warmup.length=3", "early_stopping.patience=3"])
    changed = reduce_to_one_batch(found)
    assert (changed.augment, changed.schedule, changed.warmup) == (Augment(), Schedule("constant"), None)
    assert (changed.ema, changed.patience, changed.hold_out, changed.label_smoothing) == (None, None, 0.0, 0.0)
    assert (changed.epochs, changed.iterations) == (100, None)
    assert reduce_to_one_batch(read_recipe("he2015-cifar")).iterations is None
    assert reduce_to_one_batch(read_recipe("quick", ["epochs=7"])).epochs == 7
    assert reduce_to_one_batch(read_recipe("quick", ["iterations=7"])).iterations == 7


# --- patches --------------------------------------------------------------------------------------------------------------


def test_an_operation_replaces_and_a_mapping_without_one_patches() -> None:
    base = "recipe: 1\nextends: he2015-cifar\n"
    replaced = read_recipe(base + "optimizer: {op: AdamW, lr: 0.001}\n")
    assert (replaced.optimizer, replaced.optimizer_arguments) == ("AdamW", {"lr": 0.001})
    patched = read_recipe(base + "optimizer: {lr: 0.05, nesterov: true}\n")
    expected = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0001, "nesterov": True}
    assert (patched.optimizer, patched.optimizer_arguments) == ("SGD", expected)
    assert patched.name == "recipe"


@pytest.mark.parametrize(
    ("save", "means"),
    [
        ("{minutes: 10, steps: null, keep: 2}", (10.0, None, 2)),  # as the documentation has it
        ("{minutes: null}", (None, None, 2)),
        ("{steps: 5}", (10.0, 5, 2)),
        ("{minutes: null, steps: null, keep: 1}", (None, None, 1)),
    ],
)
def test_null_turns_a_kind_of_checkpoint_off(save: str, means: tuple[float | None, int | None, int]) -> None:
    """Also in the text that a run keeps, in a patch, and where a base has a value."""
    text = f"recipe: 1\nepochs: 2\nsave: {save}\n"
    found = read_recipe(text)
    assert (found.save_minutes, found.save_steps, found.keep) == means
    again = read_recipe(found.text)
    assert (again.save_minutes, again.save_steps, again.keep) == means
    patched = read_recipe("recipe: 1\nepochs: 2\nsave: {minutes: 3, steps: 7}\n", ["save.minutes=null", "save.steps=null"])
    assert (patched.save_minutes, patched.save_steps) == (None, None)


def test_a_border_below_one_is_a_fraction_of_the_size() -> None:
    found = read_recipe({"epochs": 1, "augment": {"random_crop": {"padding": 0.125}}}).augment
    assert [found.for_images_of(*size).crop for size in ((32, 32), (224, 224), (64, 48))] == [4, 28, 6]
    pixels = read_recipe({"epochs": 1, "augment": {"random_crop": {"padding": 4}}}).augment
    assert pixels.for_images_of(224, 224) == pixels == Augment(crop=4)
    (finding,) = refused("recipe: 1\nepochs: 1\naugment: {random_crop: {padding: 4.5}}\n")
    assert (finding.code, str(finding.span)) == ("recipe-augment", "<recipe>:3:25")


def test_null_deletes() -> None:
    base = "recipe: 1\nextends: he2015-cifar-warmup\n"
    assert read_recipe(base + "warmup: null\n").warmup is None
    assert read_recipe(base + "optimizer: {momentum: null}\n").optimizer_arguments == {"lr": 0.1, "weight_decay": 0.0001}
    assert read_recipe(base + "augment: {random_crop: null}\n").augment == Augment(flip=0.5)
    assert read_recipe(base + "schedule: null\n").schedule == Schedule("constant")
    (finding,) = refused(base + "ema: null\n")
    assert (finding.code, str(finding.span)) == ("nothing-to-delete", "<recipe>:3:1")


def test_the_command_line_adds_replaces_and_deletes() -> None:
    found = read_recipe("quick", ["ema.decay=0.99", "optimizer.lr=0.05", "schedule=cosine", "augment=", "label_smoothing=0.1"])
    assert found.ema == (0.99, 1)
    assert found.optimizer_arguments == {**read_recipe("quick").optimizer_arguments, "lr": 0.05}
    assert (found.schedule, found.augment, found.label_smoothing) == (Schedule("cosine"), Augment(), 0.1)


def test_one_length_on_the_command_line_takes_the_place_of_the_other() -> None:
    found = read_recipe("he2015-cifar", ["epochs=3"])
    assert (found.epochs, found.iterations) == (3, None)
    found = read_recipe("quick", ["iterations=50"])
    assert (found.epochs, found.iterations) == (None, 50)
    (finding,) = refused("quick", "epochs=3", "iterations=50")
    assert finding.code == "recipe-length"


def test_a_recipe_in_a_file_is_called_after_it_and_extends_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("recipe: 1\nname: other\nepochs: 3\nbatch_size: 7\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("recipe: 1\nextends: base.yaml\nepochs: 4\n", encoding="utf-8")
    found = read_recipe(tmp_path / "mine.yaml")
    assert (found.name, found.epochs, found.batch_size) == ("mine", 4, 7)
    again = read_recipe(found.text)
    assert again == found
    assert "extends" not in found.text


@pytest.mark.parametrize("name", SHIPPED)
def test_the_text_of_a_recipe_reads_back_as_the_same(name: str) -> None:
    found = read_recipe(name)
    assert read_recipe(found.text) == found
    assert "extends" not in yaml.safe_load(found.text)


PATCHES = st.lists(
    st.one_of(
        st.integers(1, 10**6).map(lambda n: f"epochs={n}"),
        st.floats(1e-12, 1e3, allow_nan=False).map(lambda x: f"optimizer.lr={x!r}"),
        st.floats(0, 1).map(lambda x: f"optimizer.momentum={x!r}"),
        st.sampled_from(
            ["schedule=cosine", "schedule={op: polynomial, power: 2}", "schedule={op: multistep, milestones: [1.5]}"]
        ),
        st.floats(0, 9).map(lambda x: f"warmup={{length: {x!r}, shape: constant}}"),
        st.sampled_from(
            [
                "resize=[12, 34]",
                "resize=99",
                "crop=7",
                "crop=[7, 8]",
                "interpolation=nearest",
                "levels=data",
                "levels=[0.5, 1e5]",
            ]
        ),
        st.floats(0, 1).map(lambda x: f"augment.random_horizontal_flip={x!r}"),
        st.sampled_from(["augment.mixup=0.2", "augment.random_erasing={}", "augment.rand_augment={magnitude: 3}"]),
        st.lists(st.floats(1e-6, 1), min_size=1, max_size=4).map(lambda s: f"normalize.std={s!r}"),
        st.sampled_from(["normalize={mean: none, std: none}", "save={steps: 5}", "ema={}", "early_stopping={patience: 3}"]),
        st.text("abc0179.-_~:#'\"é \u00a0", max_size=12).map(
            lambda t: f"name={yaml.safe_dump(t, default_style=chr(34)).strip()}"
        ),
        st.lists(st.text("abc01.", min_size=1, max_size=6), max_size=3).map(lambda t: f"freeze={json.dumps(t)}"),
    ),
    max_size=5,
)


@given(st.sampled_from(SHIPPED), PATCHES)
def test_a_patched_recipe_reads_back_as_the_same(name: str, patches: list[str]) -> None:
    mixed = "augment.mixup=0.2" in patches and read_recipe(name).warmup is not None
    found = read_recipe(name, [*patches, "warmup="] if mixed else patches)  # the training error of mixed images ends no warm-up
    again = read_recipe(found.text)
    assert again == found
    assert read_recipe(again.text) == again


# --- mistakes -------------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("epoch: 5", 2, "unknown-field", "did you mean `epochs`?"),
    ("epochs: 5\nbatchsize: 5", 3, "unknown-field", "did you mean `batch_size`?"),
    ("epochs: 5\nlr: 5", 3, "unknown-field", "did you mean `optimizer.lr`?"),
    ("epochs: 5\nnonsense: 5", 3, "unknown-field", "known here"),
    ("batch_size: 5", 1, "recipe-length", "write `epochs: 30`"),
    ("epochs: 5\niterations: 7", 3, "recipe-length", "remove one of them"),
    ("extends: cifar-fast\niterations: 100", 3, "recipe-length", "of recipes/cifar-fast.yaml:6:1: `epochs: null`"),
    ("extends: he2015-cifar\nepochs: 5", 3, "recipe-length", "`iterations: null`"),
    ("epochs: 0", 2, "out-of-range", "1 or more"),
    ("epochs: 1.5", 2, "wrong-type", "epochs: 30"),
    ("epochs: '5'", 2, "wrong-type", "epochs: 30"),
    ("epochs: [5]", 2, "wrong-type", "brackets"),
    ("epochs: 5\nextends: nowhere", 3, "missing-file", "known here"),
    ("epochs: 5\nextends: quik", 3, "missing-file", "did you mean `quick`?"),
    ("epochs: 5\nname: 7", 3, "wrong-type", "for example `name: "),
    ("epochs: 5\nseed: -1", 3, "out-of-range", "0 or more"),
    ("epochs: 5\nseed: 4294967296", 3, "out-of-range", "4294967295 or less"),
    ("epochs: 5\noptimizer: null", 1, "recipe-optimizer", "op: SGD"),
    ("epochs: 5\noptimizer: adam", 3, "recipe-optimizer", "`optimizer: {op: Adam, lr: 0.001}`"),
    ("epochs: 5\noptimizer: AdamW", 3, "recipe-optimizer", "`optimizer: {op: AdamW, lr: 0.001}`"),
    ("epochs: 5\noptimizer: {op: RMSprop}", 3, "recipe-optimizer", "`optimizer: {op: RMSprop, lr: 0.01}`"),
    ("epochs: 5\noptimizer: 5", 3, "wrong-type", "for example `optimizer: {op: SGD"),
    ("epochs: 5\noptimizer: {op: SGD}", 3, "recipe-optimizer", "lr: 0.1"),
    ("epochs: 5\noptimizer: {lr: '0.1'}", 3, "recipe-optimizer", "lr: 0.1"),
    ("epochs: 5\noptimizer: {lr: true}", 3, "recipe-optimizer", "lr: 0.1"),
    ("epochs: 5\nschedule: cosin", 3, "unknown-word", "did you mean `cosine`?"),
    ("epochs: 5\nschedule: {op: step}", 3, "unknown-word", "did you mean `multistep`?"),
    ("epochs: 5\nschedule: multistep", 3, "missing-field", "milestones"),
    ("epochs: 5\nschedule: {op: multistep, milestones: 5}", 3, "wrong-type", "write a list: `milestones: [5]`"),
    ("epochs: 5\nschedule: {op: multistep, milestones: [-5]}", 3, "out-of-range", "0 or more"),
    ("epochs: 5\nschedule: {op: multistep, milestones: [5], uint: epochs}", 3, "unknown-field", "did you mean `unit`?"),
    ("epochs: 5\nschedule: {op: cosine, milestones: [5]}", 3, "unknown-field", "`final`"),
    ("epochs: 5\nschedule: {op: cosine, final: 2}", 3, "out-of-range", "1 or less"),
    ("epochs: 5\nschedule: {rise: 0.5}", 3, "unknown-field", "`op`"),
    ("epochs: 5\naugment: {mixup: 0.2}\nwarmup: {length: 5, until_train_error: 0.8}", 4, "recipe-warmup", "`length`"),
    ("epochs: 5\nwarmup: {length: 5, until_train_error: 0.8}\naugment: {cutmix: 1}", 3, "recipe-warmup", "`length`"),
    ("epochs: 5\nclass_weights: even", 3, "unknown-word", "`balanced`"),
    ("epochs: 5\nclass_weights:\n  cat: 0", 4, "out-of-range", "1e-06 or more"),
    ("epochs: 5\nclass_weights: 2", 3, "wrong-type", "class_weights: balanced"),
    ("epochs: 5\nwarmup: 5", 3, "wrong-type", "for example `warmup: {length: 5}`"),
    ("epochs: 5\nwarmup: {start: 0.1}", 3, "missing-field", "length: 5"),
    ("epochs: 5\nwarmup: {length: 5, shape: cosine}", 3, "unknown-word", "`constant`"),
    ("epochs: 5\nbatch_size: 4\naccumulate: 5", 4, "recipe-batch", "at most 4"),
    ("epochs: 5\nresize: [5]", 3, "wrong-length", "[height, width]"),
    ("epochs: 5\nresize: 0", 3, "out-of-range", "1 or more"),
    ("epochs: 5\ncrop: big", 3, "wrong-type", "crop: 224"),
    ("epochs: 5\nlevels: [4095, 0]", 3, "recipe-levels", "`levels: [0, 4095]`"),
    ("epochs: 5\nlevels: [7, 7]", 3, "recipe-levels", "for example `levels: data`"),
    ("epochs: 5\nlevels: date", 3, "unknown-word", "did you mean `data`?"),
    ("epochs: 5\nlevels: 4095", 3, "wrong-type", "for example `levels: data`"),
    ("epochs: 5\nlevels: [4095]", 3, "wrong-length", "for example `levels: data`"),
    ("epochs: 5\nnormalize: {std: [0, 1, 1]}", 3, "recipe-normalize", "none"),
    ("epochs: 5\nnormalize: {std: [-1]}", 3, "recipe-normalize", "none"),
    ("epochs: 5\nnormalize: {mean: imagnet}", 3, "unknown-word", "did you mean `imagenet`?"),
    ("epochs: 5\nnormalize: {mean: 0.5}", 3, "wrong-type", "for example `mean: imagenet`"),
    ("epochs: 5\nnormalize: imagenet", 3, "wrong-type", "for example `normalize: {mean: imagenet, std: imagenet}`"),
    ("epochs: 5\nsplit: {validation: 0.6, test: 0.4}", 3, "recipe-split", "less than 1"),
    ("epochs: 5\nhold_out: 1", 3, "recipe-split", "less than 1"),
    ("epochs: 5\naugment: {random_horizontal_flip: 1.5}", 3, "out-of-range", "1 or less"),
    ("epochs: 5\naugment: {random_flip: 0.5}", 3, "unknown-field", "did you mean `random_horizontal_flip`?"),
    ("epochs: 5\naugment: {hflip: 0.5}", 3, "unknown-field", "did you mean `random_horizontal_flip`?"),
    ("epochs: 5\naugment: {crop: {padding: 4}}", 3, "unknown-field", "did you mean `random_crop`?"),
    ("epochs: 5\naugment: {random_crop: 4}", 3, "wrong-type", "for example `random_crop: {padding: 4}`"),
    ("epochs: 5\naugment: {random_crop: {padding: 1000000}}", 3, "out-of-range", "256 or less"),
    ("epochs: 5\naugment: {random_crop: {padding: 4}, random_resized_crop: {}}", 3, "recipe-augment", "remove"),
    ("epochs: 5\naugment: {rand_augment: {}, trivial_augment_wide: true}", 3, "recipe-augment", "remove"),
    ("epochs: 5\ncompile: true\nsegments: 3", 4, "recipe-segments", "remove"),
    ("epochs: 5\naugment: {random_resized_crop: {scale: [1.0, 0.08]}}", 3, "recipe-augment", "scale: [0.08, 1]"),
    ("epochs: 5\naugment: {random_resized_crop: {ratio: [0, 1]}}", 3, "recipe-augment", "ratio: "),
    ("epochs: 5\naugment: {random_erasing: {scale: [0.5, 0.1]}}", 3, "recipe-augment", "scale: [0.1, 0.5]"),
    ("epochs: 5\nno_decay: [norm, norm]", 3, "duplicate-value", "for example"),
    ("epochs: 5\nno_decay: [weight]", 3, "unknown-word", "`norm`"),
    ("epochs: 5\nfreeze: conv1", 3, "wrong-type", "write a list: `freeze: [conv1]`"),
    ("epochs: 5\nprecision: half", 3, "unknown-word", "`bf16`"),
    ("epochs: 5\ncompile: 1", 3, "wrong-type", "write `true`"),
    ("epochs: 5\nearly_stopping: {min_delta: 0.1}", 3, "missing-field", "patience: 10"),
    ("epochs: 5\nema: {decay: 2}", 3, "out-of-range", "1 or less"),
    ("epochs: 5\nsave: {keep: 0}", 3, "out-of-range", "1 or more"),
    ("epochs: .nan", 2, "number-too-large", "write a finite number"),
]


@pytest.mark.parametrize(("text", "line", "code", "help"), MISTAKES)
def test_a_mistake_is_reported_at_its_place_with_help(text: str, line: int, code: str, help: str) -> None:
    (finding,) = refused(f"recipe: 1\n{text}\n")
    assert (finding.code, finding.span.line if finding.span else 0) == (code, line)
    assert help in finding.help


@pytest.mark.parametrize(
    ("recipe", "patch", "code"),
    [
        ("quik", "", "missing-file"),
        ("x" * 5000, "", "missing-file"),
        ("a\0b", "", "missing-file"),
        ("quick", "optimizer", "set-syntax"),
        ("quick", "optimzer.lr=1", "unknown-field"),
        ("quick", "optimizer=", "recipe-optimizer"),
        ("quick", "warmup=", "nothing-to-delete"),
        ("quick", "extends=he2015-cifar", "extends-not-allowed"),
        ("quick", "recipe=2", "unknown-word"),
        ("quick", "batch_size=0", "out-of-range"),
        ("epochs: 5\n", "", "missing-version"),
        ("spec: 1\n", "", "other-document"),
        ("recipe: 2\n", "", "unknown-version"),
        ("- recipe: 1\n", "", "wrong-type"),
    ],
)
def test_a_mistake_outside_the_file_is_reported(recipe: str, patch: str, code: str) -> None:
    (finding,) = refused(recipe, *([patch] if patch else []))
    assert finding.code == code


def test_a_patch_of_a_key_that_stands_further_down_is_reported_where() -> None:
    (finding,) = refused("cifar-fast", "lr=0.1")
    assert finding.help == "did you mean `optimizer.lr=0.1`?"


def test_all_mistakes_are_reported_at_once() -> None:
    findings = refused("recipe: 1\nepochs: 0\nbatch_size: a\nnonsense: 1\n")
    assert [finding.span.line for finding in findings if finding.span] == [2, 3, 4]


def test_a_recipe_that_is_no_data_is_refused() -> None:
    (finding,) = refused({"epochs": {1, 2}})
    assert finding.code == "not-data"


# --- the schema -----------------------------------------------------------------------------------------------------------


def fields_in(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        if field is not True:
            yield f"{path}.{name}", field
            yield from fields_in(field, f"{path}.{name}")
    for member in schema.get("allOf", ()):
        yield from fields_in(member["then"], f"{path}.{member['if']['properties']['op']['const']}")


FIELDS = list(fields_in(SCHEMA))
NO_DEFAULT = {  # they are absent, or must be written
    *(".name", ".about", ".source", ".accuracy", ".extends", ".epochs", ".iterations", ".resize", ".crop", ".init", ".warmup"),
    *(".levels", ".ema", ".early_stopping", ".clip_norm", ".optimizer.op", ".schedule.op", ".schedule.multistep.milestones"),
    *(".class_weights", ".auxiliary"),
    *(".warmup.length", ".warmup.until_train_error", ".save.steps"),
    *(".augment.random_crop", ".augment.random_resized_crop", ".augment.rand_augment", ".augment.random_erasing"),
}


def test_the_schema_is_valid_draft_7_and_of_known_keywords() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(SCHEMA)
    assert keywords_in(SCHEMA) <= known_keywords()


@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_every_field_says_what_it_is_with_an_example_that_fits(path: str, field: dict[str, Any]) -> None:
    assert {"title", "description", "examples"} <= field.keys()
    assert field["examples"]
    for value in [*field["examples"], *([field["default"]] if "default" in field else [])]:
        assert Draft7Validator(field).is_valid(value), value
    assert ("default" in field) is (path not in NO_DEFAULT)


@pytest.mark.parametrize("path", sorted(shipped_root("recipe").glob("*.yaml")), ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_a_shipped_recipe(path: Path) -> None:
    assert list(FILE.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8").replace("5e-4", "0.0005")))) == []


_PIECES: list[object] = [
    *(None, True, 0, -1, 3, 1.5, 10**12, "", "cosine", "multistep", "nonsense", "data", "bf16", "epochs", "SGD"),
    *([], [1], [1, 2], ["norm"], ["a", "b"], [{}], [None], [0.5, 2]),
    *({}, {"op": "cosine"}, {"op": "multistep", "milestones": [3]}, {"op": 1}, {"op": "SGD", "lr": 0.1}, {"length": 5}),
    *({"padding": 2}, {"p": 0.5}, {"scale": [0, 1]}, {"mean": "half"}, {"patience": 1}, {"decay": 1}),
]
_NEW_KEYS = [*SCHEMA["properties"], "nonsense", "op", "lr", "final", "gamma", "unit", "scale", "p", "mode", "mixup", "mean"]


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, object]:
    """A shipped recipe with one to three places changed, deleted or added."""
    data = copy.deepcopy(yaml.safe_load(read_recipe(draw(st.sampled_from(SHIPPED))).text))
    assert isinstance(data, dict)
    for _ in range(draw(st.integers(1, 3))):
        at: dict[str, object] = data
        while True:
            deeper = [value for value in at.values() if isinstance(value, dict)]
            if not deeper or draw(st.integers(0, 2)) == 0:
                break
            at = draw(st.sampled_from(deeper))
        key = draw(st.sampled_from([*at, *_NEW_KEYS]))
        if key in at and draw(st.booleans()):
            del at[key]
        else:
            at[key] = copy.deepcopy(draw(st.sampled_from(_PIECES)))
    return data


@given(mutations())
def test_a_changed_recipe_is_refused_exactly_when_jsonschema_refuses_it(data: dict[str, object]) -> None:
    """But for a bare `multistep`, which a file may say for another to patch."""
    node, _ = parse(from_data(data))
    assert isinstance(node, MappingNode)
    if data.get("schedule") != "multistep":
        assert (validate_recipe(node) == []) is FILE.is_valid(data)


@given(mutations())
def test_a_changed_recipe_is_read_or_refused_with_places(data: dict[str, object]) -> None:
    findings: list[Diagnostic] = []
    found = None
    try:
        found = read_recipe(data)
    except ResnetSpecError as error:
        findings.extend(error.diagnostics)
    assert all(finding.span is not None for finding in findings)
    if found is not None:
        assert read_recipe(found.text) == found
