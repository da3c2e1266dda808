"""Random numbers that depend on what they are for and on nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.training.randomness import Purpose, draws, held_out, mixing, order, seed_of

SEEDS = st.integers(0, 2**32 - 1)  # as the schema of recipes has it


@given(SEEDS, st.integers(0, 10**6), st.integers(0, 300))
def test_an_order_is_a_permutation(seed: int, epoch: int, count: int) -> None:
    found = order(seed, epoch, count)
    assert sorted(found.tolist()) == list(range(count))
    assert np.array_equal(found, order(seed, epoch, count))


def test_nothing_depends_on_what_was_drawn_before_nor_changes_it() -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].tobytes(), torch.get_rng_state()  # type: ignore[index]
    first = order(1, 2, 50), draws(1, 2, 50, 3), mixing(1, 2, 3).random(5), held_out(1, 50, 0.3)
    for other in range(5):
        order(other, 0, 10), draws(other, 0, 10, 2), mixing(0, 0, other).random()
    again = order(1, 2, 50), draws(1, 2, 50, 3), mixing(1, 2, 3).random(5), held_out(1, 50, 0.3)
    assert all(np.array_equal(a, b) for a, b in zip(first[:3], again[:3], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first[3], again[3], strict=True))
    assert before[0] == np.random.get_state()[1].tobytes()  # type: ignore[index]
    assert torch.equal(before[1], torch.get_rng_state())


def test_another_seed_epoch_or_purpose_is_another_stream() -> None:
    streams = [draws(seed, epoch, 200, 4).ravel() for seed, epoch in itertools.product((0, 1, 2**32 - 1), (0, 1, 2**31))]
    streams += [mixing(seed, epoch, batch).random(800) for seed, epoch, batch in itertools.product((0, 1), repeat=3)]
    for first, second in itertools.combinations(streams, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.2  # 800 numbers: 5.6 deviations
    assert len({tuple(order(seed, epoch, 30)) for seed in range(10) for epoch in range(10)}) == 100
    assert not np.array_equal(order(0, 0, 100), held_out(0, 100, 1.0)[1])


def test_seeds_for_torch_are_of_63_bits_and_all_different() -> None:
    seeds = [
        seed_of(purpose, seed, step, part) for purpose in Purpose for seed in range(5) for step in range(50) for part in (0, 1)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62
    assert seed_of(Purpose.EACH, 1, 23) != seed_of(Purpose.EACH, 12, 3)
    assert len({seed_of(purpose, 0) for purpose in Purpose}) == len(Purpose)


def test_draws_are_uniform_and_rows_do_not_depend_on_their_place() -> None:
    table = draws(5, 0, 20_000, 8)
    assert table.shape == (20_000, 8)
    assert table.min() >= 0
    assert table.max() < 1
    assert table.mean(axis=0) == pytest.approx([0.5] * 8, abs=0.01)  # 1 / sqrt(12 * 20000) is 0.002
    counts = np.stack([np.histogram(column, 10, (0, 1))[0] for column in table.T])
    chi_squared = ((counts - 2000) ** 2 / 2000).sum(axis=1)
    assert (chi_squared < 33.7).all()  # 9 degrees of freedom: exceeded once in 10,000
    correlations = np.corrcoef(table.T) - np.eye(8)
    assert np.abs(correlations).max() < 0.04


def test_every_place_is_equally_likely_for_every_sample() -> None:
    count, epochs = 12, 3000
    places = np.zeros((count, count))
    for epoch in range(epochs):
        places[np.arange(count), order(3, epoch, count)] += 1
    expected = epochs / count
    assert ((places - expected) ** 2 / expected).sum() < 195  # 121 degrees of freedom: exceeded once in 40,000


@given(SEEDS, st.integers(0, 200), st.floats(0, 1))
def test_what_is_held_out_and_what_stays_are_all_there_is(seed: int, count: int, part: float) -> None:
    stays, out = held_out(seed, count, part)
    assert len(out) == round(part * count)
    assert sorted([*stays.tolist(), *out.tolist()]) == list(range(count))
    assert np.all(np.diff(stays) > 0)
    assert np.all(np.diff(out) > 0)


def test_the_numbers_are_those_of_every_earlier_version() -> None:
    """A run that is resumed draws what it would have drawn; if these change, no old run can be repeated."""
    assert order(0, 0, 10).tolist() == [6, 2, 1, 0, 8, 4, 3, 9, 7, 5]
    assert order(7, 3, 10).tolist() == [6, 3, 2, 5, 1, 0, 9, 4, 8, 7]
    assert draws(0, 0, 2, 3).ravel().tolist() == [
        0.6781078683721724,
        0.8130775552240744,
        0.7643419079477279,
        0.8506445593701157,
        0.29156967519728816,
        0.7542101706913769,
    ]
    assert mixing(0, 1, 2).random(2).tolist() == [0.7453129067664693, 0.21854992929616002]
    assert held_out(0, 10, 0.3)[1].tolist() == [0, 3, 9]
    assert [seed_of(Purpose.WEIGHTS, 0), seed_of(Purpose.FORWARD, 0, 5, 0)] == [411788715114236230, 7696815076510071482]
