"""The labels of a data set in the order of a network's classes, by name or, of ImageNet, by position."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_spec.data import Data
from resnet_spec.data.dataset import make_split
from resnet_spec.inference.naming import make_distinct, match_classes, number_classes
from tests.training.tiny import refused

NUMBERS = ("n01440764", *(f"n02{i:06d}" for i in range(998)), "n15075141")
NAMES = ("tench", *(f"thing {i}" for i in range(998)), "toilet tissue")
LABELS = [0, 2, 1, 2]


def data(classes: tuple[str, ...], kind: str = "folder") -> Data:
    """Four images of the first three classes."""
    split = make_split(np.zeros((4, 2, 2, 3), np.uint8), np.array(LABELS), "test")
    return Data(kind, f"{kind}:DIR", classes, None, None, split, 3, (2, 2))


def labels(matched: Data) -> list[int]:
    assert matched.test is not None
    return [int(label) for label in matched.test.labels]


def test_labels_are_renumbered_by_name() -> None:
    matched, notes = match_classes(data(("ant", "bee", "cat")), ("cat", "dog", "ant", "bee"), True, "net")
    assert (labels(matched), matched.classes, notes) == ([2, 0, 3, 0], ("cat", "dog", "ant", "bee"), ())


def test_classes_that_are_not_known_are_those_of_the_data() -> None:
    matched, (note,) = match_classes(data(("ant", "bee", "cat")), number_classes(3), False, "net")
    assert (labels(matched), matched.classes) == (LABELS, ("ant", "bee", "cat"))
    assert "taken for those of the data in their order: `ant`, `bee`, `cat`" in note


def test_other_numbers_of_classes_that_are_not_known_are_refused() -> None:
    found = refused(lambda: match_classes(data(("ant", "bee", "cat")), number_classes(1000), False, "net"))
    assert "3 classes, and net returns 1,000 values" in found.message
    assert "train SPEC --weights FILE" in found.help


def test_a_class_that_the_network_lacks_is_refused() -> None:
    found = refused(lambda: match_classes(data(("ant", "bee", "Cat")), ("ant", "bee", "cat"), True, "net"))
    assert "`Cat`" in found.message
    assert "letter case" in found.help


@pytest.mark.parametrize("names", [NAMES, tuple(f"{name}, by another name" for name in NAMES), NUMBERS])
@pytest.mark.parametrize(("classes", "kind"), [(NUMBERS, "folder"), (NUMBERS, "imagenet"), (NAMES, "imagenet")])
def test_imagenet_is_matched_by_position(classes: tuple[str, ...], kind: str, names: tuple[str, ...]) -> None:
    matched, notes = match_classes(data(classes, kind), names, True, "net")
    assert (labels(matched), matched.classes) == (LABELS, names)
    assert bool(notes) == (classes != names)
    assert all("by their position" in note for note in notes)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (NUMBERS, (*NAMES[1:], NAMES[0])),  # not in the order of published weights
        (NUMBERS[:999], NAMES),
        ((*NUMBERS[:-1], "n15075142"), NAMES),  # not the classes of ImageNet
        (("n01440764", "n02102040"), NAMES),  # some of them: which they are is not known
    ],
)
def test_other_numbers_of_wordnet_are_refused_with_a_way_out(classes: tuple[str, ...], names: tuple[str, ...]) -> None:
    found = refused(lambda: match_classes(data(classes), names, True, "net"))
    assert found.code == "data-classes"
    assert "`--classes FILE`" in found.help
    assert "WordNet" in found.help


def test_of_equal_names_each_has_its_number() -> None:
    assert make_distinct(["crane", "ant", "crane"]) == ("crane (0)", "ant", "crane (2)")
