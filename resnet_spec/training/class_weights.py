"""The weights of classes in the loss, for data with many more images of one class than of another.

The loss of a batch is that of torch's `CrossEntropyLoss(weight=...)`: the losses of its images, each times the weight of its
class, divided by the sum of these weights. For images that are mixed, each share counts with the weight of its own class, in
both sums; a share of zero then changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data.dataset import Labels
from resnet_spec.diagnostics import Diagnostic, RecipeError, printable, suggestion
from resnet_spec.diagnostics.text import join_first
from resnet_spec.training.recipe import Recipe

IMBALANCE = 10  # times as many images of one class as of another, from which on that is noted


def weigh_classes(recipe: Recipe, classes: tuple[str, ...], labels: Labels) -> NDArray[np.float64] | None:
    """The weight of each class, `(classes,)`; None if the recipe has no class weights. `labels` are those of training images.

    Balanced weights are inversely proportional to the images of a class, and their mean over all images is 1 (King and Zeng
    2001; scikit-learn's `balanced`). A class without training images has 1. Raises RecipeError for the name of a class that the
    data do not have.
    """
    wanted = recipe.class_weights
    if wanted is None:
        return None
    if wanted == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        present = counts > 0
        return np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 1.0)
    unknown = [name for name in wanted if name not in classes]
    if unknown:
        raise RecipeError(
            [
                Diagnostic(
                    "recipe-classes",
                    f"the data have no class `{printable(name)}`",
                    recipe.place("class_weights", name),
                    help=suggestion(name, classes),
                )
                for name in unknown
            ]
        )
    return np.array([wanted.get(name, 1.0) for name in classes])


def note_weights(classes: tuple[str, ...], weights: NDArray[np.float64] | None) -> tuple[str, ...]:
    """A note with the weights of the classes, the largest first; of many, the first."""
    if weights is None:
        return ()
    order = np.argsort(-weights, kind="stable").tolist()
    shown = join_first([f"`{printable(classes[i])}` {weights[i]:.3g}" for i in order], 8)
    return (f"the loss weighs classes: {shown}",)


def note_imbalance(recipe: Recipe, classes: tuple[str, ...], labels: Labels) -> tuple[str, ...]:
    """A note where one class has at least `IMBALANCE` times as many training images as another."""
    counts = np.bincount(labels, minlength=len(classes))
    present = np.flatnonzero(counts)
    most, least = int(present[counts[present].argmax()]), int(present[counts[present].argmin()])
    if counts[most] < IMBALANCE * counts[least]:
        return ()
    note = (
        f"`{printable(classes[most])}` has {counts[most]:,} training images and `{printable(classes[least])}` has"
        f" {counts[least]:,}: look at the balanced accuracy and at each class, not at the accuracy alone"
    )
    return (note if recipe.class_weights is not None else f"{note}; `class_weights: balanced` weighs rare classes more",)
