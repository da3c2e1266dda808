"""Shipped specs with one thing changed: never a traceback, always a place, and what is accepted torch accepts too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml

import resnet_spec
from resnet_spec import api
from resnet_spec.diagnostics import Diagnostic
from resnet_spec.language.library import library_block_names, shipped_root

PARTS = 10  # so that several processes can share the work
MUTATIONS = 2_000 // PARTS  # of each part
IN_TORCH = 150 // PARTS
SEED = 20161
BASES = ("resnet34", "cifar_resnet20", "pokemon_resnet18", "variants/resnet18_96px", "variants/resnet34_wide_stages")
PATCHES = ("resnet50", "resnet101", "cifar_resnet110", "variants/resnet152_biased_shortcut")
WORDS = [
    "norm",
    "act",
    "relu",
    "basic",
    "stride",
    "width",
    "first",
    "in_channels",
    "channels // 2",
    "1 / 0",
    "no",
    "conv2d",
    "",
]
VALUES: list[Any] = [None, True, False, 0, 1, 2, 3, 7, -1, 31, 64, 0.5, 10**6, [], [1, 2], {}, {"op": "relu"}, {"a": 1}, *WORDS]


@cache
def read(name: str) -> dict[str, Any]:
    text = (shipped_root() / f"{name}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    document.pop("expect", None)
    if "extends" in document and not str(document["extends"]).startswith("mixins/"):
        document["extends"] = f"{name.rpartition('/')[0]}/{document['extends']}".strip("/")
    return document  # type: ignore[no-any-return]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from places(value[key])


def mutate(document: dict[str, Any], chance: random.Random) -> str:
    """Change one thing: drop, rename, retype, duplicate, or swap a number; returns what was done."""
    container, key = chance.choice(list(places(document)))
    how = chance.choice(["drop", "rename", "retype", "duplicate", "number", "number"])
    if isinstance(container, list):
        container[key] = chance.choice(VALUES)
        return f"list item {key}"
    if how == "drop":
        del container[key]
    elif how == "rename":
        renamed = chance.choice([f"{key}x", str(key)[:-1], "width", "op", "7", "if", "from", *library_block_names()])
        container[renamed] = container.pop(key)
    elif how == "duplicate":
        container[f"{key}_2"] = container[key]
    elif how == "number" and isinstance(container[key], int):
        container[key] = chance.choice([container[key] + 1, container[key] * 2, container[key] // 2, -container[key], 0, 1, 3])
    else:
        container[key] = chance.choice(VALUES)
    return f"{how} {key}"


def mutants(seed: int, count: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    chance = random.Random(seed)
    for _ in range(count):
        name = chance.choice([*BASES, *BASES, *PATCHES])
        document = deepcopy(read(name))
        done = [mutate(document, chance) for _ in range(chance.choice([1, 1, 1, 2]))]
        yield name, ", ".join(done), document


@dataclass(frozen=True)
class Tried:
    """A mutant, and what the compiler made of it."""

    base: str
    done: str
    analysis: resnet_spec.Analysis | None
    findings: tuple[Diagnostic, ...]


@pytest.fixture(scope="module", params=range(PARTS))
def tried(request: pytest.FixtureRequest) -> list[Tried]:
    """The mutants of one part, each compiled once."""
    found = []
    for base, done, document in mutants(SEED + request.param, MUTATIONS):
        try:
            found.append(Tried(base, done, resnet_spec.analyze(document), ()))
        except resnet_spec.SpecError as error:
            found.append(Tried(base, done, None, tuple(error.diagnostics)))
    return found


def test_a_mutated_spec_is_right_or_refused_with_a_place(tried: list[Tried]) -> None:
    wrong = [mutant for mutant in tried if mutant.analysis is None]
    for mutant in wrong:
        assert mutant.findings, mutant
        for finding in mutant.findings:
            assert finding.span is not None, mutant
            assert finding.message, mutant
    assert min(len(wrong), MUTATIONS - len(wrong)) > MUTATIONS // 10


@pytest.mark.torch
def test_a_mutated_spec_that_is_right_runs_in_torch(tried: list[Tried]) -> None:
    checked = 0
    for mutant in tried:
        analysis = mutant.analysis
        if mutant.base not in BASES or analysis is None or checked == IN_TORCH:
            continue
        if len(analysis.graph.nodes) > 200 or analysis.total.macs > 10**11:
            continue
        checked += 1
        assert api.check_shapes(analysis, batch=2) == [], (mutant.base, mutant.done)
    assert checked == IN_TORCH
