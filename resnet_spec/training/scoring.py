"""Scores of a network on a split: loss, top-1, top-5, the confusion matrix and calibration, with every image counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from resnet_spec.report.calibration import BINS, Reliability, reliability_of
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.predictions import Predicted
from resnet_spec.training.batches import Batch, EvaluationBatches
from resnet_spec.training.outputs import main_output
from resnet_spec.training.recipe import Precision
from resnet_spec.training.world import World

TOP = 5
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Interrupted(Exception):  # noqa: N818  (it is not an error)
    """The run was asked to stop, and has been saved."""


@dataclass(frozen=True, slots=True)
class Scores:
    """`loss` is the mean cross-entropy in nats, accuracies are in 0 to 1; `top5` is None for five classes or fewer.

    `confusion[i][j]` are the images of class i that the network takes for class j. `reliability` compares the probabilities of
    the predicted classes with how often they are correct.
    """

    loss: float
    accuracy: float
    top5: float | None
    confusion: tuple[tuple[int, ...], ...]
    images: int
    reliability: Reliability

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images, 0 to 1; NaN where there are no images."""
        return self._numbered.balanced_accuracy

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images or are predicted, 0 to 1; NaN where there are no images."""
        return self._numbered.macro_f1

    @property
    def calibration_error(self) -> float:
        """The expected calibration error (Guo et al. 2017), 0 to 1; NaN where there are no images."""
        return self.reliability.error

    @property
    def _numbered(self) -> ConfusionMatrix:
        return self.table(tuple(map(str, range(len(self.confusion)))))

    def table(self, classes: tuple[str, ...]) -> ConfusionMatrix:
        """The confusion matrix with the names of the classes."""
        return ConfusionMatrix(classes, self.confusion)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a network computes in a precision."""
    wanted = AUTOCAST.get(precision)
    return torch.autocast(device.type, wanted or torch.bfloat16, enabled=wanted is not None)


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16, so that it multiplies them faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` into evaluation mode; afterwards each of its parts is in its own mode again."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def score(
    module: nn.Module,
    batches: EvaluationBatches,
    classes: int,
    device: torch.device,
    precision: Precision,
    world: World,
    stopped: Callable[[], bool] = lambda: False,
    keep: Callable[[Predicted], None] | None = None,
) -> Scores:
    """Score `module` on all `batches` of all processes. Raises Interrupted as soon as `stopped()` is true in one of them.

    `keep` is given what is predicted for the images of each batch of all processes, in the order of the images. Only the
    process that writes calls it; the others may pass any function.
    """
    numbers = torch.float32 if device.type == "mps" else torch.float64
    loss = torch.zeros((), dtype=numbers, device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    within = torch.zeros((), dtype=torch.int64, device=device)
    bins = torch.zeros(3, BINS, dtype=numbers, device=device)
    with evaluating(module), torch.inference_mode():
        found = iter(batches)
        for _ in range(batches.rounds):  # equally often in every process, so that all stop together
            if world.any(stopped()):
                raise Interrupted
            batch = next(found, None)
            if batch is None:
                if keep is not None:
                    world.gathered(None)
                continue
            with autocast(device, precision):
                outputs = main_output(module(batch.images))
            outputs = outputs.float()
            probabilities, predictions = outputs.softmax(1), outputs.argmax(1)
            confidence = probabilities.gather(1, predictions[:, None])[:, 0]
            bins += _sum_by_confidence(confidence.to(numbers), predictions == batch.labels)
            if keep is not None:
                _give(keep, world, batch, predictions, probabilities)
            loss += F.cross_entropy(outputs, batch.labels, reduction="sum")
            confusion += torch.bincount(batch.labels * classes + predictions, minlength=classes * classes)
            if classes > TOP:
                within += (outputs.topk(TOP, dim=1).indices == batch.labels[:, None]).sum()
    if device.type == "mps":
        loss, bins = loss.cpu(), bins.cpu()
    world.total(loss), world.total(confusion), world.total(within), world.total(bins)
    table = confusion.view(classes, classes).cpu()
    count = int(table.sum())
    return Scores(
        loss=float(loss) / max(1, count),
        accuracy=int(table.diagonal().sum()) / max(1, count),
        top5=int(within) / max(1, count) if classes > TOP else None,
        confusion=tuple(tuple(row) for row in table.tolist()),
        images=count,
        reliability=reliability_of(bins.tolist()),
    )


def _sum_by_confidence(confidence: Tensor, correct: Tensor) -> Tensor:
    """For each bin of confidence the number of images, the sum of their confidences and the correct ones: `(3, BINS)`.

    Confidences `(n,)` that are not numbers count as 0.
    """
    confidence = confidence.nan_to_num(0.0)
    place = ((confidence * BINS).ceil() - 1).clamp(0, BINS - 1)
    inside = (place[:, None] == torch.arange(BINS, device=place.device)).to(confidence.dtype)
    values = torch.stack([torch.ones_like(confidence), confidence, correct.to(confidence.dtype)])
    return (values[:, :, None] * inside).sum(1)  # no matrix product, which some GPUs round


def _give(keep: Callable[[Predicted], None], world: World, batch: Batch, predictions: Tensor, probabilities: Tensor) -> None:
    """Give the predictions for a batch of each process to `keep`, in the order of the processes."""
    assert batch.indices is not None
    own = Predicted(batch.indices, *(each.cpu().numpy() for each in (batch.labels, predictions, probabilities)))
    for each in world.gathered(own):
        if world.writes and isinstance(each, Predicted) and len(each.labels):
            keep(each)
