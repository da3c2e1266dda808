"""The loop against a plain one written here, and each thing a recipe can ask of it."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_spec import build
from resnet_spec.report.record import EpochRow
from resnet_spec.training import loop as loops
from resnet_spec.training.divergence import first_not_finite
from resnet_spec.training.loop import Loop
from resnet_spec.training.progress import epochs_without_growth
from resnet_spec.training.randomness import Purpose, order, seed_of
from resnet_spec.training.session import Session
from resnet_spec.training.stop import Stop
from tests.training.tiny import DATA, SPEC, Ear, loop_of, ready, refused, write_folder

pytestmark = pytest.mark.torch
GROUP = ("norm={op: group_norm, num_groups: 4}",)


def plain_loop(session: Session, module: nn.Module, *, smoothing: float = 0.0, clip: float | None = None) -> list[float]:
    """Two epochs as one would write them: SGD with momentum and decay, half a cosine, every batch in one part."""
    training = session.feeds.training
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    steps = 2 * training.steps_per_epoch
    losses: list[float] = []
    module.train()
    for epoch in range(2):
        for (batch,) in training.epoch(epoch):
            done = len(losses) / (steps - 1)
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - (1 - math.cos(math.pi * done)) / 2)
            optimizer.zero_grad()
            loss = F.cross_entropy(module(batch.images), batch.labels, label_smoothing=smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())
    return losses


def assert_equal(module: nn.Module, other: nn.Module) -> None:
    state = other.state_dict()
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(("smoothing", "clip"), [(0.0, None), (0.1, 0.5)])
def test_ten_steps_are_those_of_a_plain_loop_to_the_bit(smoothing: float, clip: float | None) -> None:
    changes: dict[str, Any] = {"label_smoothing": smoothing} | ({} if clip is None else {"clip_norm": clip})
    session = ready(augment={"random_crop": {"padding": 1}, "random_horizontal_flip": 0.5}, **changes)
    other = copy.deepcopy(session.subject.module)
    losses = plain_loop(session, other, smoothing=smoothing, clip=clip)
    ear = Ear()
    loop_of(session, ear).run()
    assert len(losses) == 10
    assert ear.losses == losses
    assert_equal(session.subject.module, other)


@pytest.mark.parametrize("own_labels", [False, True])
def test_mixed_images_are_counted_by_the_class_with_the_larger_share(own_labels: bool) -> None:
    """Runs of version 0.1.0 go on counting an image's own label, of which little may be left."""
    session = ready(epochs=1, augment={"cutmix": 1.0})
    feeds, module = session.feeds, copy.deepcopy(session.subject.module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    right = 0
    for number, (batch,) in enumerate(feeds.training.epoch(0)):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * number / 4)) / 2
        optimizer.zero_grad()
        outputs = module(batch.images)
        F.cross_entropy(outputs, batch.targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        counted = batch.labels.tolist() if own_labels else [row.index(max(row)) for row in batch.targets.tolist()]
        right += sum(guess == label for guess, label in zip(outputs.argmax(1).tolist(), counted, strict=True))
    ear = Ear()
    parts = (feeds.training, feeds.validation, None)
    Loop(session.subject.module, session.recipe, *parts, ear, session.machine.world, Stop(), own_labels=own_labels).run()
    assert ear.rows[0].train_accuracy == right / 80


def test_an_epochs_row_is_the_mean_over_its_images() -> None:
    session = ready("synthetic:classes=4,size=12,train=70,validation=24,test=0")  # the last batch has 6 images
    losses = plain_loop(session, copy.deepcopy(session.subject.module))
    ear = Ear()
    loop_of(session, ear).run()
    first = sum(16 * loss for loss in losses[:4]) + 6 * losses[4]
    assert ear.rows[0].train_loss == pytest.approx(first / 70, rel=1e-12)
    assert [row.step for row in ear.rows] == [5, 10]


def test_a_batch_in_parts_is_the_whole_batch_where_nothing_depends_on_the_batch() -> None:
    data = "synthetic:classes=4,size=12,train=70,validation=24,test=0"  # parts of 5 and 6, of 2 in the last batch
    whole, parts = Ear(), Ear()
    one = ready(data, set=GROUP)
    loop_of(one, whole).run()
    three = ready(data, set=GROUP, accumulate=3)
    loop_of(three, parts).run()
    state = three.subject.module.state_dict()
    for key, value in one.subject.module.state_dict().items():
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert parts.rows[0].train_loss == pytest.approx(whole.rows[0].train_loss, rel=1e-5)


def test_a_batch_in_parts_differs_under_batch_norm() -> None:
    whole, parts = Ear(), Ear()
    loop_of(ready(), whole).run()
    loop_of(ready(accumulate=2), parts).run()
    assert parts.rows[0].train_loss != pytest.approx(whole.rows[0].train_loss, rel=1e-6)


@pytest.mark.parametrize("every", [1, 3])
def test_the_moving_average_is_that_of_torchs_own_tool(every: int) -> None:
    session = ready(ema={"decay": 0.8, "every": every})
    averaged: Any = get_ema_multi_avg_fn(0.8)  # type: ignore[no-untyped-call]
    other = copy.deepcopy(session.subject.module)
    average = AveragedModel(other, multi_avg_fn=averaged, use_buffers=True)

    def on_step(step: int) -> None:
        if step % every == 0:
            average.update_parameters(session.subject.module)

    loop = loop_of(session, Ear(on_step=on_step))
    loop.run()
    assert_equal(loop.weights, average.module)
    with pytest.raises(AssertionError):
        assert_equal(loop.weights, session.subject.module)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_lower_precision_computes_in_it_and_keeps_weights_in_32_bits(precision: str, dtype: torch.dtype) -> None:
    session = ready(precision=precision, epochs=4)
    seen: set[torch.dtype] = set()
    layer = session.subject.module.get_submodule("layer1")
    layer.register_forward_hook(lambda module, args, output: seen.add(output.dtype))
    ear = Ear()
    loop_of(session, ear).run()
    assert seen == {dtype}
    assert {value.dtype for value in session.subject.module.parameters()} == {torch.float32}
    assert ear.rows[-1].train_loss < ear.rows[0].train_loss


FLAT = "spec: 1\nname: flat\ninput: 3x12x12\nclasses: 4\nstem: {flatten: flatten, fc: {op: linear, out_features: classes}}\n"
COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, *([True] if COMPILERS else [])])
def test_a_compiled_network_learns_the_same(compiled: bool) -> None:
    plain, other = Ear(), Ear()
    loop_of(ready(spec=FLAT), plain).run()
    session = ready(spec=FLAT, compile=compiled)
    names = set(session.subject.module.state_dict())
    loop_of(session, other).run()
    assert other.losses == pytest.approx(plain.losses, rel=1e-3)
    assert set(session.subject.module.state_dict()) == names


def rates(monkeypatch: pytest.MonkeyPatch, until: float) -> tuple[list[float], int | None]:
    """Learning rates of ten steps with a warm-up of eight that may end at the fourth."""
    monkeypatch.setattr(loops, "WINDOW", 4)
    warmup = {"length": 8, "unit": "iterations", "start": 0.1, "shape": "constant", "until_train_error": until}
    session = ready(warmup=warmup, schedule="constant")
    found: list[float] = []
    loop = loop_of(session, Ear(on_step=lambda step: found.append(loop.optimizer.param_groups[0]["lr"])))
    loop.run()
    return found, loop.progress.warm_end


def test_a_warm_up_ends_when_the_training_error_is_low_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found, end = rates(monkeypatch, until=0.99)
    assert found == pytest.approx([0.005] * 4 + [0.05] * 6)
    assert end == 4


def test_a_warm_up_ends_at_its_length_at_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    found, end = rates(monkeypatch, until=0.0001)
    assert found == pytest.approx([0.005] * 8 + [0.05] * 2)
    assert end is None


def test_it_stops_when_validation_is_no_better_for_long() -> None:
    still = {"op": "SGD", "lr": 1e-12}
    session = ready(optimizer=still, epochs=30, early_stopping={"patience": 3})
    for layer in session.subject.module.modules():  # statistics that move would change what is validated
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0
    ear = Ear()
    loop = loop_of(session, ear)
    loop.run()
    assert [row.epoch for row in ear.rows] == [1, 2, 3, 4]
    assert loop.progress.best_epoch == 1
    assert loop.progress.stopped_early


def test_frozen_parts_keep_weights_and_statistics() -> None:
    parts = ("conv1", "bn1", "layer1")
    session = ready(freeze=list(parts))
    before = copy.deepcopy(session.subject.module.state_dict())
    loop_of(session, Ear()).run()
    changed = {key for key, value in session.subject.module.state_dict().items() if not torch.equal(value, before[key])}
    assert not [key for key in changed if key.startswith(tuple(f"{part}." for part in parts))]
    assert {"layer2.0.conv1.weight", "layer2.0.bn1.running_mean", "fc.weight"} <= changed


@pytest.mark.parametrize(("names", "words"), [(["layer7"], "`layer7`"), (["conv1", "layer1", "layer2", "fc", "bn1"], "every")])
def test_what_cannot_be_frozen_is_refused(names: list[str], words: str) -> None:
    found = refused(lambda: ready(freeze=names))
    assert found.code == "recipe-freeze"
    assert words in found.message
    assert found.span is not None


def test_the_first_weights_are_a_function_of_the_seed() -> None:
    torch.manual_seed(seed_of(Purpose.WEIGHTS, 5))
    other = build(SPEC)
    state = torch.random.get_rng_state()
    assert_equal(ready(seed=5).subject.module, other)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(AssertionError):
        assert_equal(ready(seed=6).subject.module, other)


def test_a_recipe_may_say_how_weights_are_drawn() -> None:
    torch.manual_seed(seed_of(Purpose.WEIGHTS, 0))
    other = build(SPEC, set=["init=xavier_uniform"])
    session = ready(init="xavier_uniform")
    assert_equal(session.subject.module, other)
    weight = session.subject.module.get_parameter("layer2.0.conv2.weight")
    assert weight.abs().max().item() <= math.sqrt(6 / (16 * 9 + 16 * 9))
    assert "init: xavier_uniform" in session.subject.spec


def test_segments_change_neither_losses_nor_weights() -> None:
    whole, cut = Ear(), Ear()
    one, two = ready(), ready(segments=-1)
    loop_of(one, whole).run()
    loop_of(two, cut).run()
    assert cut.losses == whole.losses
    assert_equal(one.subject.module, two.subject.module)


def test_iterations_end_a_run_within_an_epoch() -> None:
    ear = Ear()
    loop = loop_of(ready(epochs=None, iterations=7), ear)
    loop.run()
    assert len(ear.losses) == 7
    assert [(row.epoch, row.step) for row in ear.rows] == [(1, 5), (2, 7)]


def test_checkpoints_come_after_as_many_steps_as_wanted() -> None:
    ear = Ear()
    loop_of(ready(save={"steps": 2}), ear).run()
    assert ear.saved == [2, 4, 5, 6, 8, 10]


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "SGD"])
def test_optimizers_of_torch_train(optimizer: str) -> None:
    ear = Ear()
    loop_of(ready(optimizer={"op": optimizer, "lr": 0.003}, epochs=3), ear).run()
    assert ear.rows[-1].train_loss < ear.rows[0].train_loss


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0 * 0


def test_the_first_layer_that_gives_no_number_is_found() -> None:
    module = nn.Sequential(nn.Identity(), nn.Sequential(nn.ReLU(), Broken()), nn.ReLU())
    assert first_not_finite(module, torch.ones(1, 3)) == "1.1"
    assert first_not_finite(nn.Sequential(nn.ReLU()), torch.ones(1, 3)) is None


def test_data_of_one_size_need_no_other_words() -> None:
    assert ready(DATA).notes == ()


def test_the_best_epoch_is_the_highest_however_little_it_grew() -> None:
    """`min_delta` decides when to stop, not which weights are kept."""
    started = ready(epochs=6, early_stopping={"patience": 3, "min_delta": 0.5})
    loop = loop_of(started, Ear())
    loop.run()
    found = [row.validation_accuracy or 0.0 for row in loop.progress.rows]
    assert len(found) == 4  # the first counts, and then three grew by less
    assert found[loop.progress.best_epoch - 1] == max(found) == loop.progress.best


@pytest.mark.parametrize(
    ("accuracies", "least", "since"),
    [
        ([], 0.0, 0),
        ([0.0], 0.3, 0),
        ([0.5, 0.5, 0.4], 0.0, 2),
        ([0.5, 0.6, 0.7], 0.15, 0),
        ([0.5, 0.6, 0.64], 0.15, 2),
        ([0.5, 0.6, 0.7, 0.1], 0.0, 1),
    ],
)
def test_growth_is_counted_from_the_last_that_was_enough(accuracies: list[float], least: float, since: int) -> None:
    rows = [EpochRow(i + 1, i, 0.1, 1.0, 0.5, 1.0, each, None, None, None, None) for i, each in enumerate(accuracies)]
    assert epochs_without_growth(rows, least) == since


def test_an_average_that_has_not_begun_is_not_the_result() -> None:
    loop = loop_of(ready(epochs=1, ema={"decay": 0.9, "every": 100}), Ear())
    loop.run()
    assert loop.weights is loop.module
    loop = loop_of(ready(epochs=1, ema={"decay": 0.9, "every": 2}), Ear())
    loop.run()
    assert loop.weights is not loop.module


def test_the_layer_is_named_only_while_its_weights_are_those_of_the_step() -> None:
    """Devices other than CPUs are looked at every fifty steps, and by then one bad step has spoiled every layer."""
    loop = loop_of(ready(epochs=1), Ear())
    (parts, *_) = loop.training.epoch(0)
    with torch.no_grad():
        loop.module.get_parameter("fc.weight").fill_(math.nan)
    bad, good = torch.tensor(math.nan), torch.tensor(1.0)
    loop.divergence.unseen = [(8, good), (9, bad)]
    assert "step 10; the first layer whose output is not finite is fc" in refused(lambda: loop.divergence.look(parts)).message
    loop.divergence.unseen = [(8, bad), (9, bad)]
    assert refused(lambda: loop.divergence.look(parts)).message == "the loss is no longer finite at step 9"
    loop.divergence.unseen = [(9, bad)]
    assert refused(loop.divergence.look).message == "the loss is no longer finite at step 10"


class Masked(nn.Module):
    """A constant that is not finite, as attention has it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(432, 4)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x.flatten(1))
        return found


def test_buffers_that_were_never_finite_are_no_divergence() -> None:
    ear = Ear()
    loop_of(ready(spec=Masked(), input=(3, 12, 12), epochs=1), ear).run()
    assert len(ear.rows) == 1


def test_the_loss_that_is_shown_is_the_mean_of_all_parts() -> None:
    ears = [Ear(), Ear()]
    for ear, parts in zip(ears, (1, 3), strict=True):
        loop_of(ready(epochs=1, accumulate=parts, set=GROUP), ear).run()
    assert ears[1].losses == pytest.approx(ears[0].losses, abs=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_of_damaged_images_only_teaches_nothing(tmp_path: Path, precision: str, accumulate: int) -> None:
    """In fp16 there are no gradients in which the scaler could look for infinities, and it refuses to go on without."""
    options: dict[str, Any] = {
        "precision": precision,
        "accumulate": accumulate,
        "clip_norm": 1.0,
        "schedule": "constant",
        "epochs": 1,
    }
    data = write_folder(tmp_path, count=16)  # two batches of 16
    normalize = {"mean": "half", "std": "half"}
    started = ready(data, skip_bad=True, normalize=normalize, augment={"random_resized_crop": {}}, set=GROUP, **options)
    names = sorted((tmp_path / "train").rglob("*.png"))
    listed = sorted(names, key=lambda path: (path.parent.name, path.name))
    for index in order(0, 0, 32)[:16]:
        listed[index].write_bytes(b"")
    before = copy.deepcopy(started.subject.module.state_dict())
    states: list[dict[str, Tensor]] = []
    ear = Ear(on_step=lambda step: states.append(copy.deepcopy(started.subject.module.state_dict())))
    loop_of(started, ear).run()
    assert len(started.feeds.skipped.names) == 16
    assert all(torch.equal(states[0][key], value) for key, value in before.items())
    assert any(not torch.equal(states[1][key], value) for key, value in before.items())
    assert [row.step for row in ear.rows] == [2]
