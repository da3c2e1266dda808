"""The operations of a network as rows with names."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from resnet_spec import analyze, build
from resnet_spec.diagnostics import ArgumentError


@pytest.mark.torch
@pytest.mark.parametrize("name", ["resnet18", "cifar_resnet20"])
def test_rows_have_the_names_shapes_and_parameters_of_the_module(name: str) -> None:
    rows = analyze(name).table()
    modules = dict(build(name).named_modules())
    for row in rows:
        if row.name in modules:
            own = sum(each.numel() for each in modules[row.name].parameters())
            assert row.params == own, row.name
    layers = {each for each, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d)}
    assert layers <= {row.name for row in rows}
    assert rows[0].input == analyze(name).input
    assert rows[-1].output == analyze(name).output
    assert sum(row.macs for row in rows) == analyze(name).total.macs
    first = rows[0]
    assert (first.name, first.kind, first.output[0]) == ("conv1", "conv2d", modules["conv1"].out_channels)


def test_a_frame_has_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = analyze("cifar_resnet20")
    pandas = ModuleType("pandas")
    made: list[Any] = []
    pandas.DataFrame = lambda data, columns: made.append((data, columns))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    analysis.table(frame=True)
    ((data, columns),) = made
    assert tuple(data) == analysis.table()
    assert columns == ["name", "kind", "input", "output", "params", "buffers", "macs", "other_ops"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ArgumentError, match="needs the package pandas"):
        analysis.table(frame=True)
