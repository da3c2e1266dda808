"""Batches: every image where it belongs, whoever reads it, whoever shares the work, and wherever a run goes on."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.data import Split
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.training.batches import Batch, EvaluationBatches, TrainingBatches, mix
from resnet_spec.training.images import Each, bordered
from resnet_spec.training.randomness import mixing, order
from resnet_spec.training.reading import ImageReader, Skipped
from resnet_spec.training.recipe import Augment
from resnet_spec.training.sources import HeldImages, ImageSource, StreamedImages
from resnet_spec.training.world import World
from tests.training.small import CPU, from_files, in_memory, one_by_one

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
PREPARED = Preparation(3, (8, 6), None, "bilinear", None, (0.5,) * 3, (0.25,) * 3)
RESIZED = replace(PREPARED, resize=(8, 6))
CLASSES = 5


def training(
    split: Split, skipped: Skipped | None = None, workers: int = 0, each: Each | None = None, **fields: Any
) -> TrainingBatches:
    """Batches of a split: held in memory where it lies there, else read."""
    augment = fields.get("augment", Augment())
    pixels = split.pixels
    images: ImageSource = StreamedImages(ImageReader(split, RESIZED, each, workers, skipped))
    if pixels is not None:
        images = HeldImages(bordered(pixels, augment))
    values: dict[str, Any] = {
        "labels": split.labels,
        "classes": CLASSES,
        "preparation": PREPARED if pixels is not None else RESIZED,
        "augment": augment,
        "batch_size": 8,
        "accumulate": 1,
        "seed": 0,
        "world": World(),
        "device": CPU,
        "channels_last": False,
        "least": 1,
        "images": images,
        **fields,
    }
    return TrainingBatches(**values)


def shared(batches: TrainingBatches, size: int) -> list[TrainingBatches]:
    """The batches of each process of a world."""
    return [replace(batches, world=World(rank, size)) for rank in range(size)]


def together(ranks: list[TrainingBatches], epoch: int, first: int = 0) -> Iterator[Batch]:
    """The batch of each step over all processes and parts."""
    for step in zip(*(rank.epoch(epoch, first) for rank in ranks), strict=True):
        parts = [part for rank in step for part in rank]
        yield Batch(*(torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels", "targets")))


def assert_equal(first: Iterator[Batch], second: Iterator[Batch]) -> None:
    for one, other in zip(first, second, strict=True):
        for name in ("images", "labels", "targets"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


WORLDS = st.tuples(st.integers(1, 4), st.integers(1, 3))


def all_values(size: int) -> Split:
    """Images that say by their first byte which they are."""
    split = in_memory(size)
    assert split.pixels is not None
    split.pixels[:, 0, 0, 0] = np.arange(size)
    return replace(split, labels=np.arange(size) % CLASSES)


def numbers_of(batch: Batch) -> list[int]:
    return [round(float(image[0, 0, 0] * 0.25 + 0.5) * 255) for image in batch.images]


# --- which images ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 20), WORLDS, st.integers(1, 2), st.integers(0, 3))
def test_an_epoch_is_its_order_cut_into_batches_and_each_into_equal_parts(
    count: int, batch_size: int, world: tuple[int, int], least: int, epoch: int
) -> None:
    size, accumulate = world
    ranks = shared(training(all_values(count), batch_size=batch_size, accumulate=accumulate, least=least), size)
    assert len({rank.steps_per_epoch for rank in ranks}) == 1
    steps = [[part for rank in step for part in rank] for step in zip(*(rank.epoch(epoch) for rank in ranks), strict=True)]
    assert len(steps) == ranks[0].steps_per_epoch
    sequence = order(0, epoch, count).tolist()
    seen: list[int] = []
    for step, parts in enumerate(steps):
        whole = sequence[step * batch_size : (step + 1) * batch_size]
        assert [number for part in parts for number in numbers_of(part)] == whole
        lengths = [len(part.labels) for part in parts]
        assert max(lengths) - min(lengths) <= 1
        assert len(whole) == batch_size or min(lengths) >= least
        for part in parts:
            assert part.labels.tolist() == [number % CLASSES for number in numbers_of(part)]
            assert part.targets is part.labels
        seen += whole
    assert sorted([*seen, *sequence[len(seen) :]]) == list(range(count))
    assert len(seen) == count - ranks[0].left_out
    assert ranks[0].left_out < max(batch_size, 1)


def test_the_last_batch_is_left_out_only_where_a_part_would_be_too_small() -> None:
    batches = training(in_memory(21), batch_size=8, least=2)
    assert (batches.steps_per_epoch, batches.left_out) == (3, 0)
    assert (replace(batches, accumulate=2).steps_per_epoch, replace(batches, accumulate=2).left_out) == (3, 0)
    assert (replace(batches, accumulate=3).steps_per_epoch, replace(batches, accumulate=3).left_out) == (2, 5)
    assert (replace(batches, world=World(1, 3)).steps_per_epoch, replace(batches, world=World(1, 3)).left_out) == (2, 5)
    assert (training(in_memory(3), batch_size=8, least=2, accumulate=2).steps_per_epoch) == 0


def test_epochs_have_orders_of_their_own() -> None:
    batches = training(all_values(30), batch_size=30)
    orders = [tuple(numbers_of(next(together([batches], epoch)))) for epoch in range(5)]
    assert len(set(orders)) == 5
    assert {tuple(sorted(each)) for each in orders} == {tuple(range(30))}


# --- the same batches, however they are made ------------------------------------------------------------------------------

AUGMENTS = {
    "nothing": Augment(),
    "crop and flip": Augment(crop=2, flip=0.5),
    "reflecting": Augment(crop=3, crop_mode="reflect"),
    "erasing": Augment(flip=0.5, erasing=0.7),
    "mixup": Augment(crop=1, erasing=0.3, mixup=0.4),
    "cutmix": Augment(flip=0.5, cutmix=1.0),
    "both": Augment(mixup=0.2, cutmix=1.0),
}


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (1, 3), (2, 1), (3, 2)])
def test_more_processes_and_parts_give_the_same_batches_bit_for_bit(name: str, size: int, accumulate: int) -> None:
    whole = training(in_memory(50), augment=AUGMENTS[name], batch_size=13)
    cut = replace(whole, accumulate=accumulate)
    assert_equal(together([whole], 2), together(shared(cut, size), 2))


@pytest.mark.parametrize("name", AUGMENTS)
def test_a_run_that_is_resumed_gets_the_batches_it_would_have_got(name: str) -> None:
    batches = training(in_memory(50), augment=AUGMENTS[name], batch_size=13, accumulate=2)
    through = list(together([batches], 1))
    for first in range(len(through) + 1):
        assert_equal(iter(through[first:]), together([batches], 1, first))


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_images_that_are_read_give_the_batches_of_images_that_are_held(name: str, channels_last: bool) -> None:
    split = in_memory(30)
    held = training(split, augment=AUGMENTS[name], batch_size=13, accumulate=2, channels_last=channels_last)
    read = training(one_by_one(split), augment=AUGMENTS[name], batch_size=13, accumulate=2, channels_last=channels_last)
    assert isinstance(held.images, HeldImages)
    assert isinstance(read.images, StreamedImages)
    for epoch in range(2):
        assert_equal(together([held], epoch), together([read], epoch))


def test_workers_give_the_same_batches_and_leave_torchs_generator_alone() -> None:
    each = Each(Augment(rotation=15, flip=0.5, mixup=0.2), RESIZED, 0)
    made = [
        training(from_files(30), augment=each.augment, each=each, workers=workers, batch_size=13, accumulate=2)
        for workers in (0, 2)
    ]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert_equal(together([made[0]], 1), together([made[1]], 1))
    made[1].images.close()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_can_be_given_up_and_another_read_by_the_same_workers() -> None:
    others = set(multiprocessing.active_children())
    made = training(from_files(40), workers=1, batch_size=4)
    batches = made.epoch(0)
    next(batches)
    workers = set(multiprocessing.active_children()) - others
    batches.close()  # type: ignore[attr-defined]
    plain = training(from_files(40), batch_size=4)
    for epoch in range(2):
        assert_equal(together([plain], epoch), together([made], epoch))
    assert len(workers) == 1
    assert workers <= set(multiprocessing.active_children())
    made.images.close()
    assert not workers & set(multiprocessing.active_children())
    assert_equal(together([plain], 2), together([made], 2))  # other workers are started where it is read again
    made.images.close()


ABANDONED = """
import os, signal, time
from resnet_spec.training.reading import ImageReader
from resnet_spec.data.preparation import Preparation
from tests.training.small import from_files

LARGE = Preparation(3, (200, 200), (200, 200), "bilinear", None, (0.5,) * 3, (0.25,) * 3)
batches = ImageReader(from_files(64), LARGE, None, 2, None).read([[(0, i)] for i in range(64)])
next(batches)
time.sleep(1)  # more is waiting than a pipe holds
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_workers_end_with_the_process_that_they_read_for() -> None:
    """They hold its output open: it is read to the end only when they are gone."""
    done = subprocess.run([sys.executable, "-c", ABANDONED], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("split", [in_memory(4), one_by_one(in_memory(4)), from_files(4)])
def test_what_workers_are_given_can_be_sent_to_them(split: Split) -> None:
    reader = ImageReader(split, RESIZED, Each(Augment(rotation=15), RESIZED, 0), 2, None)
    again = pickle.loads(pickle.dumps(reader.images))
    found, expected = again[0, 2][0], reader.images[0, 2][0]
    assert found is not None
    assert expected is not None
    assert np.array_equal(found, expected)


# --- mixing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [Augment(mixup=0.4), Augment(cutmix=1.0), Augment(mixup=0.4, cutmix=1.0)])
def test_each_image_is_mixed_with_the_one_before_it_in_the_batch_of_all_processes(augment: Augment) -> None:
    """The first with the last, as torchvision's `roll(1)` does."""
    split = in_memory(50)
    plain, mixed = training(split, batch_size=13), training(split, batch_size=13, augment=augment)
    kinds = set()
    for one, other in zip(together([plain], 0), together(shared(replace(mixed, accumulate=2), 2), 0), strict=True):
        partner = one.images.roll(1, 0)
        shares = torch.nn.functional.one_hot(one.labels, CLASSES).float()
        assert torch.equal(other.labels, one.labels)
        assert other.targets.sum(1) == pytest.approx(torch.ones(len(one.labels)))
        differ = one.labels != one.labels.roll(1)
        share = float(other.targets[differ][0, one.labels[differ][0]])
        assert torch.allclose(other.targets, share * shares + (1 - share) * shares.roll(1, 0), atol=1e-6)
        pasted = (other.images == partner) & (other.images != one.images)
        if torch.all((other.images == partner) | (other.images == one.images)):
            kinds.add("cutmix")
            box = pasted.any(0).any(0).nonzero()
            area = 0 if not len(box) else int((box.max(0).values - box.min(0).values + 1).prod())
            assert share == pytest.approx(1 - area / (8 * 6), abs=1e-6)
        else:
            kinds.add("mixup")
            assert torch.allclose(other.images, share * one.images + (1 - share) * partner, atol=1e-5)
    assert kinds <= ({"mixup"} if not augment.cutmix else {"cutmix"} if not augment.mixup else {"mixup", "cutmix"})


def test_shares_are_drawn_from_the_beta_distribution_and_both_kinds_take_turns() -> None:
    x, labels = torch.zeros(2, 1, 32, 32), torch.tensor([0, 1])
    x[1] = 1
    shares, kinds = [], []
    for batch in range(2000):
        made = mix(x, labels, 2, Augment(mixup=0.4, cutmix=1.0), mixing(0, 0, batch))
        cutting = set(made.images.flatten().tolist()) <= {0.0, 1.0}
        kinds.append(cutting)
        assert float(made.images.mean()) == pytest.approx(float(made.targets[0, 1]), abs=1e-5)
        if not cutting:
            shares.append(float(made.targets[0, 1]))
    assert np.mean(kinds) == pytest.approx(0.5, abs=0.06)  # a share of nearly 0 or 1 looks like cutting
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.var(shares) == pytest.approx(0.25 / (2 * 0.4 + 1), abs=0.02)  # of Beta(a, a): 1 / (4 (2 a + 1))


def test_a_batch_of_one_image_is_mixed_with_itself() -> None:
    split = in_memory(3)
    plain, mixed = training(split, batch_size=1), training(split, batch_size=1, augment=Augment(mixup=1.0))
    for one, other in zip(together([plain], 0), together([mixed], 0), strict=True):
        assert torch.allclose(one.images, other.images, atol=1e-6)
        assert other.targets.argmax(1).tolist() == one.labels.tolist()


# --- images that cannot be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_an_error_that_names_it(workers: int) -> None:
    made = training(from_files(10, bad=[7]), workers=workers)
    with pytest.raises(ResnetSpecError) as caught:
        list(made.epoch(0))
    made.images.close()
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message) == ("bad-image", "cannot read the image image 7: damaged")
    assert "--skip-bad" in finding.help


@pytest.mark.parametrize("augment", [Augment(flip=0.5, crop=1), Augment(mixup=0.3)])
@pytest.mark.parametrize("bad", [[7], [0, 3, 4, 9], list(range(10))])
@pytest.mark.parametrize(("batch_size", "accumulate"), [(10, 1), (4, 1), (4, 4), (1, 1), (10, 5)])
def test_bad_images_that_are_skipped_are_counted_and_the_others_are_all_there(
    augment: Augment, bad: list[int], batch_size: int, accumulate: int
) -> None:
    skipped = Skipped()
    split = replace(from_files(10, bad), labels=np.arange(10))
    batches = training(split, skipped, augment=augment, batch_size=batch_size, accumulate=accumulate, classes=10)
    seen = [label for batch in together([batches], 0) for label in batch.labels.tolist()]
    left_out = order(0, 0, 10).tolist()[batches.steps_per_epoch * batch_size :]
    assert sorted([*seen, *[i for i in left_out if i not in bad]]) == [i for i in range(10) if i not in bad]
    assert skipped.names == {f"image {i}": "damaged" for i in bad if i not in left_out}


def test_an_image_whose_partner_is_bad_stays_as_it_is() -> None:
    first, second = order(0, 0, 2).tolist()
    split = from_files(2, [first])
    mixed = training(split, Skipped(), augment=Augment(mixup=1.0), batch_size=2, accumulate=2)
    (batch,) = together([mixed], 0)
    plain = training(split, Skipped(), batch_size=2, accumulate=2)
    (expected,) = together([plain], 0)
    assert batch.labels.tolist() == [split.labels[second]]
    assert torch.allclose(batch.images, expected.images, atol=1e-6)


# --- evaluation -----------------------------------------------------------------------------------------------------------


def evaluation(split: Split, skipped: Skipped | None = None, **fields: Any) -> EvaluationBatches:
    images: ImageSource = StreamedImages(ImageReader(split, RESIZED, None, 0, skipped))
    if split.pixels is not None:
        images = HeldImages(split.pixels)
    return EvaluationBatches(
        **{
            "labels": split.labels,
            "preparation": PREPARED,
            "batch_size": 8,
            "world": World(),
            "device": CPU,
            "channels_last": True,
            "images": images,
            **fields,
        }
    )


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 5), st.booleans())
def test_evaluation_sees_each_image_once_over_all_processes(count: int, batch_size: int, size: int, read: bool) -> None:
    split = all_values(count) if count else in_memory(1)
    split = (
        split if count else replace(split, labels=split.labels[:0], pixels=None if split.pixels is None else split.pixels[:0])
    )
    split = one_by_one(split) if read else split
    ranks = [list(evaluation(split, batch_size=batch_size, world=World(rank, size))) for rank in range(size)]
    seen = [number for rank in ranks for batch in rank for number in numbers_of(batch)]
    assert sorted(seen) == list(range(count))
    assert all(len(rank) <= evaluation(split, batch_size=batch_size, world=World(0, size)).rounds for rank in ranks)
    assert evaluation(split, batch_size=batch_size, world=World(0, size)).rounds == max(map(len, ranks))
    for rank in ranks:
        for batch in rank:
            assert batch.labels.tolist() == [number % CLASSES for number in numbers_of(batch)]


def test_evaluation_can_be_repeated_and_does_not_change_what_is_held() -> None:
    split = in_memory(10)
    assert split.pixels is not None
    before = split.pixels.copy()
    batches = evaluation(split)
    assert_equal(iter(batches), iter(batches))
    assert np.array_equal(split.pixels, before)


def test_bad_images_are_left_out_of_evaluation_and_counted() -> None:
    skipped = Skipped()
    found = list(evaluation(from_files(10, bad=[0, 1, 2, 3, 9]), skipped, batch_size=4))
    assert [len(batch.labels) for batch in found] == [4, 1]
    assert list(skipped.names) == ["image 0", "image 1", "image 2", "image 3", "image 9"]
    with pytest.raises(ResnetSpecError):
        list(evaluation(from_files(10, bad=[9])))
