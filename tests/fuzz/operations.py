"""Operations in a row, with every field at common, rare and extreme values, and random networks; against torch without data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from torch import nn

import resnet_spec
from resnet_spec.diagnostics import SpecError
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import dump
from tests.fuzz.specs import compare
from tests.fuzz.trained import require_findings
from tests.measure import REFUSALS, measure
from tests.naive_layers import Shape, naive_layer
from tests.ops.test_every_field import operations
from tests.random_specs import Spec, random_specs

ROWS = st.lists(operations(), min_size=1, max_size=6)
EXTREME = (0, 1, 8, 63, 1000, 65_536, 2**31 - 1)
NEEDS_IMAGE = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "blur_pool2d", "dropout2d")
SIDES = (1, 2, 3, 5, 8, 9, 32, 224)


@dataclass(frozen=True, slots=True)
class OperationsCase:
    """Operations in a row for an image of `size` (`row`), or a whole network; and another size that it is asked for."""

    spec: Spec
    row: tuple[tuple[str, dict[str, Any]], ...]
    size: Shape
    other: tuple[int, int]


class Operations:
    """The target. What is refused torch refuses; shapes, parameters, buffers and multiply-adds are torch's."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        measure(resnet_spec.build("cifar_resnet20", device="meta"), (3, 32, 32))  # torch is imported and warm before a case

    def draw(self, chance: Random) -> OperationsCase:
        """One to six operations, now and then with an extreme number in a field; else a network of stages and blocks."""
        other = (chance.choice(SIDES), chance.choice(SIDES))
        if chance.random() < 0.3:
            spec = drawn(random_specs(), chance)
            return OperationsCase(spec, (), (), other)
        row = [(name, dict(written)) for name, written in drawn(ROWS, chance)]
        if chance.random() < 0.25:
            fields = [(written, key) for _, written in row for key, value in written.items() if type(value) in (int, tuple)]
            if fields:
                written, key = chance.choice(fields)
                value = chance.choice(EXTREME)
                written[key] = value if isinstance(written[key], int) else tuple(value for _ in written[key])
        size = (chance.choice((1, 2, 3, 4, 6)), chance.choice(SIDES), chance.choice(SIDES))
        return OperationsCase(spec_of(row, size), tuple(row), size, other)

    def check(self, case: OperationsCase) -> Outcome:
        """The analysis and torch agree, or both refuse."""
        try:
            analysis = resnet_spec.analyze(case.spec)
        except SpecError as error:
            require_findings(error)
            codes = {finding.code for finding in error.diagnostics if finding.severity == "error"}
            if not case.row or not codes <= GEOMETRY:
                return Outcome(accepted=False)
            module = self._by_hand(case.row, case.size)
            if module is not None:
                raise Wrong(f"{error}\nand torch runs {case.row} at {case.size}") from None
            return Outcome(accepted=False, compared=True)
        if not compare(analysis, case.other):
            return Outcome(accepted=True)  # too large for torch
        if case.row:
            module = self._by_hand(case.row, case.size)
            if module is None:
                raise Wrong(f"torch refuses {case.row} at {case.size}")
            found, total = measure(module, case.size, batch=1), analysis.total
            if (found.output, found.params, found.macs) != (analysis.output, total.params, total.macs):
                raise Wrong(f"{analysis.output} {total} here; by hand {found.output}, {found.params}, {found.macs}")
        return Outcome(accepted=True, compared=True)

    def _by_hand(self, row: tuple[tuple[str, dict[str, Any]], ...], size: Shape) -> nn.Module | None:
        """The layers that a person would write for a row, one after another; None where torch refuses one."""
        layers: list[nn.Module] = []
        x = size
        for name, written in row:
            if name in NEEDS_IMAGE and len(x) != 3:
                return None  # torch would take a batch of rows for one image
            if name == "pad" and len(written["padding"]) // 2 > len(x):
                return None  # torch would pad the batch
            try:
                with torch.device("meta"):
                    layer = naive_layer(name, written, x).eval()
                x = measure(layer, x, batch=1).output  # some norms take a batch, and not a single image
            except REFUSALS:
                return None
            layers.append(layer)
        return nn.Sequential(*layers).eval()

    def write(self, case: OperationsCase, path: Path) -> None:
        """The spec as a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.yaml").write_bytes(dump(case.spec))
        path.with_name(f"{path.name}.how.txt").write_text(f"also at {case.other}\n", encoding="utf-8")


GEOMETRY = {
    *("shape-mismatch", "kernel-too-large", "padding-too-large", "groups-do-not-divide", "wrong-rank", "wrong-axis"),
    *("too-few-values", "same-padding-stride", "size-not-divisible", "conflicting-fields"),
}


def drawn(strategy: st.SearchStrategy[Any], chance: Random) -> Any:
    """A value of a strategy, which depends on `chance` alone."""
    found: list[Any] = []

    @seed(chance.getrandbits(64))
    @settings(max_examples=3, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def keep(value: Any) -> None:
        found.append(value)

    keep()
    return found[-1]  # the first is the simplest there is


def spec_of(row: list[tuple[str, dict[str, Any]]], size: Shape) -> Spec:
    """Operations as the stem of a network."""
    stem = {}
    for number, (name, written) in enumerate(row):
        fields = {key: list(value) if isinstance(value, tuple) else value for key, value in written.items()}
        stem[f"op{number}"] = {"op": name, **fields}
    return {"spec": 1, "name": "row", "input": "x".join(map(str, size)), "stem": stem}
