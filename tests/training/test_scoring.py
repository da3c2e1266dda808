"""Scores against a few lines of numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from resnet_spec.data.preparation import Preparation
from resnet_spec.report.predictions import Predicted
from resnet_spec.training.batches import EvaluationBatches
from resnet_spec.training.reading import ImageReader, Skipped
from resnet_spec.training.scoring import Interrupted, Scores, evaluating, score
from resnet_spec.training.sources import HeldImages, StreamedImages
from resnet_spec.training.world import World
from tests.training.small import CPU, from_files, in_memory

pytestmark = pytest.mark.torch
PREPARED = Preparation(3, (8, 6), None, "bilinear", None, (0.5,) * 3, (0.25,) * 3)
RESIZED = replace(PREPARED, resize=(8, 6))


def batches(count: int, classes: int, batch_size: int) -> EvaluationBatches:
    split = in_memory(count)
    assert split.pixels is not None
    labels = np.random.default_rng(count).integers(0, classes, count)
    return EvaluationBatches(labels, PREPARED, batch_size, World(), CPU, False, HeldImages(split.pixels))


def network(classes: int) -> nn.Module:
    torch.manual_seed(classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 6, classes))


def scored(module: nn.Module, found: EvaluationBatches, classes: int, stopped: Callable[[], bool] = lambda: False) -> Scores:
    return score(module, found, classes, CPU, "fp32", World(), stopped)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 50))
def test_scores_are_those_of_numpy(count: int, classes: int, batch_size: int) -> None:
    found, module = batches(count, classes, batch_size), network(classes)
    scores = scored(module, found, classes)
    with torch.no_grad():
        outputs = module(torch.cat([batch.images for batch in found])).double().numpy()
    labels = found.labels
    shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert scores.loss == pytest.approx(-np.log(shares[np.arange(count), labels]).mean(), rel=1e-5)
    assert scores.accuracy == (outputs.argmax(axis=1) == labels).sum() / count
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, outputs.argmax(axis=1)), 1)
    assert np.array_equal(scores.confusion, confusion)
    assert scores.images == count
    best = np.argsort(-outputs, axis=1)[:, :5]
    top5 = (best == labels[:, None]).any(axis=1).sum() / count
    assert scores.top5 == (top5 if classes > 5 else None)
    assert scores.calibration_error == pytest.approx(calibration_error(shares, labels), abs=1e-6)
    assert sum(scores.reliability.images) == count


def calibration_error(shares: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Equation 3 of Guo et al. 2017: the gaps of 15 bins, ((m - 1) / 15, m / 15], weighted by their images."""
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    gaps = []
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            gaps.append(inside.sum() / len(labels) * abs(right[inside].mean() - confidence[inside].mean()))
    return float(sum(gaps))


class Says(nn.Module):
    """A network whose outputs are the logarithms of given probabilities of two classes."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__()
        self.rows = torch.tensor([[p, 1 - p] for p in probabilities]).log()

    def forward(self, x: Tensor) -> Tensor:
        return self.rows[: len(x)]


def test_a_network_that_is_right_as_often_as_it_says_is_calibrated() -> None:
    found = replace(batches(10, 2, 10), labels=np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 1]))
    assert scored(Says([0.8] * 5 + [0.6] * 5), found, 2).calibration_error == pytest.approx(0, abs=1e-6)
    sure = scored(Says([0.999999] * 10), found, 2)
    assert sure.calibration_error == pytest.approx(0.3, abs=1e-5)
    assert [row["images"] for row in sure.reliability.rows()] == [10]
    assert sure.reliability.rows()[0]["accuracy"] == 0.7


def test_what_is_predicted_for_each_image_is_given_in_order() -> None:
    module, found = network(3), batches(23, 3, 4)
    kept: list[Predicted] = []
    scores = score(module, found, 3, CPU, "fp32", World(), keep=kept.append)
    assert np.concatenate([each.indices for each in kept]).tolist() == list(range(23))
    labels, predictions = (np.concatenate([getattr(each, name) for each in kept]) for name in ("labels", "predictions"))
    probabilities = np.concatenate([each.probabilities for each in kept])
    assert labels.tolist() == found.labels.tolist()
    assert predictions.tolist() == probabilities.argmax(axis=1).tolist()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(23), abs=1e-5)
    assert (predictions == labels).mean() == pytest.approx(scores.accuracy)


def test_batches_of_any_size_give_the_same_counts() -> None:
    module = network(7)
    all_scores = [scored(module, batches(23, 7, size), 7) for size in (1, 4, 23, 100)]
    assert len({(each.accuracy, each.top5, each.confusion, each.images) for each in all_scores}) == 1
    assert [each.loss for each in all_scores] == pytest.approx([all_scores[0].loss] * 4)


def test_every_part_is_put_back_into_the_mode_it_was_in() -> None:
    module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Dropout(), nn.Linear(144, 3)).train()
    module[1].eval()
    modes = [part.training for part in module.modules()]
    statistics = {name: buffer.clone() for name, buffer in module.named_buffers()}
    first, second = (scored(module, batches(20, 3, 6), 3) for _ in range(2))
    assert first == second  # nothing was dropped
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in module.named_buffers())
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == modes
    with pytest.raises(RuntimeError):
        scored(module, batches(20, 3, 6), 2)  # fewer classes than it tells apart
    assert [part.training for part in module.modules()] == modes


def test_a_request_to_stop_is_heard_between_batches() -> None:
    calls = []

    def stopped() -> bool:
        calls.append(1)
        return len(calls) > 2

    module = network(3).train()
    with pytest.raises(Interrupted):
        scored(module, batches(20, 3, 4), 3, stopped)
    assert len(calls) == 3
    assert module.training


class Gives(nn.Module):
    """Outputs that are not numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 3), float("nan"))


def test_a_network_that_gives_no_numbers_is_scored_all_the_same() -> None:
    scores = scored(Gives(), batches(10, 3, 4), 3)
    assert np.isnan(scores.loss)
    assert sum(map(sum, scores.confusion)) == scores.images == 10


def test_images_that_cannot_be_read_do_not_count() -> None:
    split, skipped = from_files(10, bad=[0, 1, 2, 3, 9]), Skipped()
    images = StreamedImages(ImageReader(split, RESIZED, None, 0, skipped))
    found = EvaluationBatches(split.labels, RESIZED, 4, World(), CPU, False, images)
    scores = scored(network(5), found, 5)
    assert scores.images == 5
    assert len(skipped.names) == 5
    nothing = from_files(3, bad=range(3))
    images = StreamedImages(ImageReader(nothing, RESIZED, None, 0, skipped))
    found = EvaluationBatches(nothing.labels, RESIZED, 4, World(), CPU, False, images)
    assert scored(network(5), found, 5).images == 0


def test_autocast_changes_values_by_rounding_only() -> None:
    module, found = network(4), batches(20, 4, 8)
    exact, rounded = scored(module, found, 4), score(module, found, 4, CPU, "bf16", World())
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)
    assert rounded.loss != exact.loss


def test_the_table_has_the_names_of_the_classes() -> None:
    scores = scored(network(3), batches(10, 3, 4), 3)
    assert scores.table(("a", "b", "c")).classes == ("a", "b", "c")
