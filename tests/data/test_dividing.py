"""Which images are held out: each class has its share, and few images move when one is added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.data.dividing import choose_held_out, divide, shares, split_of
from tests.data.conftest import Open, Refused, write_image
from tests.data.test_folder import every

FRACTIONS = st.tuples(st.integers(0, 49), st.integers(0, 49)).map(lambda pair: (pair[0] / 100, pair[1] / 100))


def parts(names: list[str], fractions: tuple[float, float]) -> dict[str, int]:
    return dict(zip(names, divide(sorted(names), fractions).tolist(), strict=True))


@given(st.integers(0, 3000), FRACTIONS)
def test_each_split_has_its_fraction_rounded(count: int, fractions: tuple[float, float]) -> None:
    found = shares(count, fractions)
    for number, fraction in zip(found, fractions, strict=True):
        assert abs(number - fraction * count) < 1.5
        assert fraction or not number
    assert count == 0 or sum(found) < count


@given(st.integers(0, 300), FRACTIONS)
def test_shares_are_those_of_websters_method(count: int, fractions: tuple[float, float]) -> None:
    """One image after the other goes to the split for which its next one is due first, in exact arithmetic."""
    exact = [Fraction(round(100 * fraction), 100) for fraction in fractions]
    weights = [*exact, 1 - sum(exact)]
    found = [0, 0, 0]
    for _ in range(count):
        due = [(found[i] + (Fraction(1, 2) if i < 2 else 0)) / weights[i] if weights[i] else Fraction(10**9) for i in range(3)]
        found[due.index(min(due))] += 1
    assert shares(count, fractions) == (found[0], found[1])


@given(st.integers(0, 60), FRACTIONS, st.integers(0, 2**32))
def test_adding_an_image_moves_at_most_one_into_or_out_of_each_split(
    count: int, fractions: tuple[float, float], seed: int
) -> None:
    names = [f"cat/{seed}-{i:03}.png" for i in range(count)]
    before, after = parts(names, fractions), parts([*names, f"cat/{seed}-{count:03}.png"], fractions)
    moved = [(before[name], after[name]) for name in names if before[name] != after[name]]
    for split in (1, 2):
        assert sum(split in pair for pair in moved) <= 1
    assert len(moved) <= (2 if all(fractions) else 1)


@given(st.integers(0, 60), st.integers(1, 99).map(lambda part: part / 100), st.booleans(), st.integers(0, 2**32))
def test_where_one_split_is_held_out_one_image_moves_at_most(count: int, part: float, is_test: bool, seed: int) -> None:
    fractions = (0.0, part) if is_test else (part, 0.0)
    names = [f"cat/{seed}-{i:03}.png" for i in range(count)]
    before, after = parts(names, fractions), parts([*names, f"cat/{seed}-{count:03}.png"], fractions)
    assert sum(before[name] != after[name] for name in names) <= 1


@pytest.mark.parametrize(("fractions", "exists"), [((0.2, 0.2), False), ((0.1, 0.3), False), ((0.0, 0.2), True)])
def test_no_rule_moves_one_at_most_where_two_splits_are_held_out(fractions: tuple[float, float], exists: bool) -> None:
    """All rules that decide by the ranks of the names are tried, image by image; `dividing` explains why these are enough."""
    rules = {""}
    for count in range(1, 17):
        validation, test = shares(count, fractions)
        rest = {"v": validation, "x": test, "t": count - validation - test}
        rules = {word for rule in rules for word in grown(rule, rest)}
        if not rules:
            break
    assert bool(rules) == exists


def grown(rule: str, shares: dict[str, int]) -> Iterator[str]:
    """The words of a name more, with these shares, that differ in one place at most from `rule` without any of their names."""
    for first in "vxt":
        near = {rule} | {
            rule[:i] + one + rule[i + 1 :] for i in range(len(rule)) for one in "vxt"
        }  # the word without its first
        for word in {first + each for each in near}:
            if all(word.count(one) == number for one, number in shares.items()) and all(
                sum(a != b for a, b in zip(word[:i] + word[i + 1 :], rule, strict=True)) <= 1 for i in range(len(word))
            ):
                yield word


def test_it_rarely_moves_two() -> None:
    moves: Counter[int] = Counter()
    names = [f"dog/{i:04}.png" for i in range(401)]
    for count in range(400):
        before, after = parts(names[:count], (0.2, 0.2)), parts(names[: count + 1], (0.2, 0.2))
        moves[sum(before[name] != after[name] for name in before)] += 1
    assert 20 < moves[2] < 45  # 2 * 0.2 * 0.2 of 400 is 32
    assert set(moves) <= {0, 1, 2}


@given(st.integers(1, 60), st.integers(1, 99).map(lambda part: part / 100), st.integers(0, 99))
def test_holding_out_of_training_images_moves_one_at_most(count: int, part: float, seed: int) -> None:
    names = [f"train/cat/{i}.png" for i in range(count + 1)]
    before = choose_held_out(names[:count], np.zeros(count, np.int64), part, seed)
    after = choose_held_out(names, np.zeros(count + 1, np.int64), part, seed)
    assert np.sum(before != after[:count]) <= 1
    assert not before.all()


def test_the_classes_do_not_depend_on_each_other() -> None:
    names = [f"{one}/{i}.png" for i in range(30) for one in ("cat", "dog", "eel")]
    labels = np.array([0, 1, 2] * 30)
    together = choose_held_out(names, labels, 0.3, 5)
    for label in range(3):
        alone = choose_held_out([names[i] for i in np.flatnonzero(labels == label)], np.zeros(30, np.int64), 0.3, 5)
        assert together[labels == label].tolist() == alone.tolist()
        assert alone.sum() == 9
    assert choose_held_out(names, labels, 0.3, 6).tolist() != together.tolist()


def test_no_later_version_may_move_an_image() -> None:
    """If these change, no run of this version can be evaluated on what it held out."""
    names = [f"cat/{i}.png" for i in range(12)]
    assert divide(names, (0.2, 0.2)).tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 2, 1]
    assert np.flatnonzero(choose_held_out(names, np.zeros(12, np.int64), 0.25, 3)).tolist() == [2, 4, 10]


# --- of folders -----------------------------------------------------------------------------------------------------------


def write(root: Path, **counts: int) -> None:
    for one, count in counts.items():
        for i in range(count):
            write_image(root / one / f"{i}.png", i)


def test_a_folder_of_classes_is_divided_within_each(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, cat=20, dog=40, eel=2)
    data = opened(f"folder:{tmp_path}")
    counts = Counter((name.split("/")[0], what) for name, what in every(data).items())
    assert counts == {
        ("cat", "train"): 12,
        ("cat", "validation"): 4,
        ("cat", "test"): 4,
        ("dog", "train"): 24,
        ("dog", "validation"): 8,
        ("dog", "test"): 8,
        ("eel", "train"): 2,
    }
    assert (data.version, data.divided) == (2, ("validation", "test"))
    assert "too few images of a class: `eel` (2 images) has none for validation and test" in data.notes


def test_version_1_stays_as_it_was(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, cat=20, dog=20)
    data = opened(f"folder:{tmp_path}", version=1)
    assert data.version == 1
    assert all(what == split_of(name, (0.2, 0.2)) for name, what in every(data).items())
    assert every(data) != every(opened(f"folder:{tmp_path}"))


def test_version_1_knows_splits_by_their_exact_names(tmp_path: Path, opened: Open) -> None:
    write(tmp_path / "Training", cat=2, dog=2)
    write(tmp_path / "Testing", cat=2, dog=2)
    assert opened(f"folder:{tmp_path}", version=1).classes == ("Testing", "Training")


@pytest.mark.parametrize("version", [0, 3])
def test_rules_of_another_version_are_refused(tmp_path: Path, refused: Refused, version: int) -> None:
    assert refused(f"folder:{tmp_path}", version=version).code == "later-version"
