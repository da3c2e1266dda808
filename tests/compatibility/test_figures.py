"""The specs of version 0.1.0, frozen beside this file, mean the networks that they meant; and so do those that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import resnet_spec

from .figures import FIGURES, Figures, figures_of, frozen_path, names

ROOT = Path(__file__).parents[2]
RECORDED: dict[str, Figures] = json.loads(FIGURES.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_frozen_spec_is_recorded() -> None:
    assert names() == sorted(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_frozen_spec_gives_the_recorded_figures(name: str) -> None:
    assert figures_of(frozen_path(name)) == RECORDED[name]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_shipped_spec_of_the_same_name_gives_the_recorded_figures(name: str) -> None:
    assert figures_of(name) == RECORDED[name]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_membership_in_the_accepted_sizes_is_as_recorded(name: str) -> None:
    """As users ask for it: `(32, 32) in analysis.accepted`, at the ends of each piece and beside them."""
    analysis = resnet_spec.analyze(frozen_path(name))
    pieces = RECORDED[name]["squares"]
    assert isinstance(pieces, list)
    assert pieces
    ends = {end for piece in pieces for end in piece if end is not None}
    for size in sorted({end + step for end in ends for step in (-1, 0, 1)} | {224}):
        wanted = any(least <= size and (most is None or size <= most) for least, most in pieces)
        assert ((size, size) in analysis.accepted) is wanted, size
