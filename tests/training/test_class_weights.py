"""Weights of classes, against torch's own loss and arithmetic written out."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resnet_spec.diagnostics import RecipeError
from resnet_spec.training.batches import Batch
from resnet_spec.training.class_weights import note_imbalance, weigh_classes
from resnet_spec.training.recipe import read_recipe
from resnet_spec.training.session import Session
from resnet_spec.training.world import World
from tests.training.tiny import Ear, loop_of, ready, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]
CLASSES = ("ant", "bee", "cat", "dog")
GROUP = ("norm={op: group_norm, num_groups: 4}",)
DATA = "synthetic:classes=4,size=12,train=70,validation=0,test=0"


def weights_of(session: Session) -> Tensor:
    """The weights that `named` gives to the classes of a session."""
    named = dict(zip(session.data.classes, (0.3, 4.0, 1.5), strict=False))
    return torch.tensor([named.get(name, 1.0) for name in session.data.classes])


def named(**changes: object) -> Session:
    """A session with weights for its first three classes."""
    first = ready(DATA).data.classes
    chosen = dict(zip(first, (0.3, 4.0, 1.5), strict=False))
    return ready(DATA, class_weights=chosen, set=GROUP, **changes)  # type: ignore[arg-type]


def plain_steps(session: Session, module: nn.Module, smoothing: float) -> list[float]:
    """The steps of an epoch with torch's own loss, each batch in one part."""
    loss_of = nn.CrossEntropyLoss(weight=weights_of(session), label_smoothing=smoothing)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    module.train()
    for (batch,) in session.feeds.training.epoch(0):
        optimizer.zero_grad()
        loss = loss_of(module(batch.images), batch.labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_an_epoch_is_that_of_torchs_weighted_loss_in_one_part_or_several(smoothing: float, accumulate: int) -> None:
    """The parts of a batch are not divided by the sums of their own weights, which would weigh images by their neighbors."""
    session = named(epochs=1, schedule="constant", label_smoothing=smoothing, accumulate=accumulate)
    whole = replace(session.feeds.training, accumulate=1)
    other = copy.deepcopy(session.subject.module)
    losses = plain_steps(replace(session, feeds=replace(session.feeds, training=whole)), other, smoothing)
    ear = Ear()
    loop_of(session, ear).run()
    assert ear.losses == pytest.approx(losses, rel=1e-4)
    state = other.state_dict()
    for key, value in session.subject.module.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=1e-3, atol=3e-4, msg=key)  # rounding may flip a relu
    mean = (sum(16 * loss for loss in losses[:4]) + 6 * losses[4]) / 70
    assert ear.rows[0].train_loss == pytest.approx(mean, rel=1e-4)


def test_unequal_weights_change_what_is_learned() -> None:
    weighted, plain = Ear(), Ear()
    loop_of(named(epochs=1), weighted).run()
    loop_of(ready(DATA, set=GROUP, epochs=1), plain).run()
    assert weighted.losses[0] != pytest.approx(plain.losses[0], rel=1e-3)


def test_equal_weights_change_nothing_but_rounding() -> None:
    session = ready(DATA, set=GROUP, epochs=1)
    weighted, plain = Ear(), Ear()
    same = dict.fromkeys(session.data.classes, 7.0)
    loop_of(ready(DATA, set=GROUP, epochs=1, class_weights=same), weighted).run()
    loop_of(session, plain).run()
    assert weighted.losses == pytest.approx(plain.losses, rel=1e-4)


@pytest.mark.parametrize("augment", [{"mixup": 0.4}, {"cutmix": 1.0}])
@pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (1, 3), (2, 2)])
def test_shares_of_mixed_images_count_with_the_weights_of_their_classes(
    augment: dict[str, float], size: int, accumulate: int
) -> None:
    """The sum of the parts of all processes is the weighted loss over the sum of the weights, written out with logarithms."""
    session = named(augment=augment, label_smoothing=0.2)
    weights, module = weights_of(session).double(), session.subject.module
    ranks = [replace(session.feeds.training, accumulate=accumulate, world=World(rank, size)) for rank in range(size)]
    loop = loop_of(session, Ear())
    for step, parts in enumerate(zip(*(rank.epoch(0) for rank in ranks), strict=True)):
        batches: list[Batch] = [part for rank in parts for part in rank]
        images = 16 if step < 4 else 6
        above = below = found = 0.0
        with torch.no_grad():
            for part in batches:
                outputs = module(part.images)
                found += float(loop._loss(step, outputs, part)) * len(part.labels) / images
                smooth = part.targets.double() * 0.8 + 0.2 / 4
                above -= float((smooth * weights * outputs.double().log_softmax(1)).sum())
                below += float((part.targets.double() * weights).sum())
        assert all(part.weight == pytest.approx(below) for part in batches)
        assert found == pytest.approx(above / below, rel=1e-4)


def test_balanced_weights_are_inverse_to_the_images_of_a_class() -> None:
    labels = np.repeat(np.arange(3), [60, 30, 10])
    weights = weigh_classes(read_recipe({"epochs": 1, "class_weights": "balanced"}), ("a", "b", "c"), labels)
    assert weights is not None
    assert weights == pytest.approx([100 / (3 * 60), 100 / (3 * 30), 100 / (3 * 10)])
    assert weights[labels].mean() == pytest.approx(1)
    missing = weigh_classes(read_recipe({"epochs": 1, "class_weights": "balanced"}), ("a", "b", "c", "none"), labels)
    assert missing is not None
    assert missing.tolist() == [*weights.tolist(), 1.0]


def test_only_training_images_are_counted(tmp_path: Path) -> None:
    session = ready(write_folder(tmp_path / "images"), class_weights="balanced", resize=[12, 12])
    assert session.feeds.training.class_weights is not None
    assert session.feeds.training.class_weights.tolist() == [1.0, 1.0]


def test_no_weights_are_none() -> None:
    labels = np.arange(4)
    assert weigh_classes(read_recipe({"epochs": 1}), CLASSES, labels) is None
    assert read_recipe({"epochs": 1, "class_weights": "balanced"}, ["class_weights="]).class_weights is None


def test_classes_that_the_data_lack_are_each_reported_at_their_place() -> None:
    text = "recipe: 1\nepochs: 1\nclass_weights:\n  cta: 2\n  dog: 1\n  whale: 3\n"
    with pytest.raises(RecipeError) as caught:
        weigh_classes(read_recipe(text), CLASSES, np.arange(4))
    first, second = caught.value.diagnostics
    assert (first.code, first.message) == ("recipe-classes", "the data have no class `cta`")
    assert "cat" in first.help
    assert [found.span.line for found in (first, second) if found.span is not None] == [4, 6]


@pytest.mark.parametrize("wrong", ["even", 2, [1, 2], {"cat": 0}, {"cat": -1}, {"cat": 1e9}, {"cat": "2"}, {"cat": None}])
def test_what_is_no_weight_is_refused(wrong: object) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe({"epochs": 1, "class_weights": wrong})
    assert all(found.span is not None for found in caught.value.diagnostics)


def test_classes_may_be_named_by_numbers() -> None:
    found = read_recipe("recipe: 1\nepochs: 1\nclass_weights: {0: 2, 7: 0.5}\n")
    assert found.class_weights == {"0": 2.0, "7": 0.5}
    assert read_recipe(found.text) == found


def test_a_recipe_keeps_its_weights_when_it_is_written() -> None:
    for weights in ("balanced", {"a: b": 2.0, "#": 1.5, "": 3.0}):
        found = read_recipe({"epochs": 1, "class_weights": weights})
        assert found.class_weights == weights
        assert read_recipe(found.text) == found


def test_a_tenfold_imbalance_is_noted() -> None:
    plain = read_recipe({"epochs": 1})
    labels = np.repeat(np.arange(3), [49, 20, 5])
    assert note_imbalance(plain, ("a", "b", "c", "none"), labels) == ()  # a class without images is another matter
    assert len(note_imbalance(plain, ("a", "b", "c", "none"), np.append(labels, 0))) == 1
    labels = np.repeat(np.arange(2), [100, 5])
    (note,) = note_imbalance(plain, CLASSES, labels)
    assert "`ant` has 100 training images and `bee` has 5" in note
    assert "class_weights: balanced" in note
    (note,) = note_imbalance(read_recipe({"epochs": 1, "class_weights": "balanced"}), CLASSES, labels)
    assert "class_weights: balanced" not in note
