"""The images of a report are the worst of all that were offered, however they were offered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.report.gallery import PER_CELL, WORST, Gallery
from resnet_spec.report.predictions import Predicted

CLASSES = 3


def offered(count: int, seed: int, batch: int) -> tuple[Gallery, Predicted]:
    """A gallery that was offered images in batches, and all of them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(CLASSES), count).astype(np.float32).round(1)  # many are equal
    labels = random.integers(0, CLASSES, count)
    every = Predicted(np.arange(count), labels, probabilities.argmax(axis=1), probabilities)
    gallery = Gallery("image {}".format)
    for start in range(0, count, batch):
        part = slice(start, start + batch)
        indices, true, guesses = (each[part] for each in (every.indices, every.labels, every.predictions))
        gallery.add(Predicted(indices, true, guesses, every.probabilities[part]))
    return gallery, every


@settings(max_examples=30)
@given(st.integers(0, 300), st.integers(0, 9), st.sampled_from([1, 7, 300]))
def test_it_shows_the_surest_mistakes_and_the_least_sure_others(count: int, seed: int, batch: int) -> None:
    gallery, every = offered(count, seed, batch)
    sure = [float(row[guess]) for row, guess in zip(every.probabilities, every.predictions, strict=True)]
    wrong = [i for i in range(count) if every.labels[i] != every.predictions[i]]
    assert [shown.index for shown in gallery.worst] == sorted(wrong, key=lambda i: (-sure[i], i))[:WORST]
    for true in range(CLASSES):
        for guess in range(CLASSES):
            inside = [i for i in range(count) if (every.labels[i], every.predictions[i]) == (true, guess)]
            sign = 1 if true == guess else -1
            expected = sorted(inside, key=lambda i: (sign * sure[i], i))[:PER_CELL]
            assert [shown.index for shown in gallery.cell(true, guess)] == expected


def test_what_is_shown_has_its_name_and_its_probabilities() -> None:
    gallery = Gallery("image {}".format)
    gallery.add(Predicted(np.array([5]), np.array([2]), np.array([0]), np.array([[0.7, 0.1, 0.2]], np.float32)))
    (shown,) = gallery.worst
    assert (shown.index, shown.name, shown.true, shown.predicted) == (5, "image 5", 2, 0)
    assert (shown.probability, shown.true_probability) == pytest.approx((0.7, 0.2))
    assert shown.is_wrong


def test_mistakes_come_first_and_each_cell_has_its_turn() -> None:
    gallery, _ = offered(300, 1, 300)
    order = list(gallery.in_turn())
    assert tuple(order[:WORST]) == gallery.worst
    rest = order[WORST:]
    assert [shown.is_wrong for shown in rest] == sorted((shown.is_wrong for shown in rest), reverse=True)
    assert len({(shown.true, shown.predicted) for shown in rest[:6]}) == 6  # the six kinds of mistakes
    cells = {(shown.true, shown.predicted) for shown in rest}
    assert {shown.index for shown in rest} == {shown.index for cell in cells for shown in gallery.cell(*cell)}
