"""Specs as Python data: what is understood, and what is refused with the path of the value and what to write."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.language.nodes import to_data
from resnet_spec.language.python_data import from_data
from resnet_spec.language.reader import parse

CONV = {"op": "conv2d", "out_channels": 2, "kernel_size": (3, 3), "bias": False}


def refusals(data: object) -> list[Diagnostic]:
    with pytest.raises(SpecError) as caught:
        from_data(data)
    assert {finding.code for finding in caught.value.diagnostics} == {"not-data"}
    return list(caught.value.diagnostics)


@pytest.mark.parametrize("size", [(3, 8, 8), "3x8x8"])
def test_the_size_of_the_input_may_be_three_integers(size: object) -> None:
    assert resnet_spec.analyze({"spec": 1, "input": size, "stem": {"c": CONV}}).output == (2, 6, 6)


@pytest.mark.parametrize("size", [(3, 8), (3, 8, 8.0), (3, 0, 8), (3, True, 8), (1, 3, 8, 8), [3, 8, 8], 8, "8"])
def test_other_sizes_are_refused_with_what_is_accepted(size: object) -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze({"spec": 1, "input": size, "stem": {"c": CONV}})
    finding = caught.value.diagnostics[0]
    assert finding.code == "invalid-input"
    assert "write channels x height x width in pixels: `input: 3x" in finding.help


def test_tuples_are_lists_and_any_mapping_is_a_dict() -> None:
    data = {"a": (1, (2, [3])), "b": OrderedDict(c=1), "d": MappingProxyType({"e": MappingProxyType({"f": 2})})}
    assert to_data(parse(from_data(data))[0]) == {"a": [1, [2, [3]]], "b": {"c": 1}, "d": {"e": {"f": 2}}}
    proxy = MappingProxyType({"spec": 1, "input": "3x8x8", "stem": {"c": CONV}})
    assert resnet_spec.analyze(proxy).output == (2, 6, 6)


@pytest.mark.parametrize(
    ("value", "message", "help"),
    [
        (np.int64(8), "`stem.c.x[1]` is of type numpy.int64, which YAML cannot hold", "convert it with `.tolist()`; "),
        (np.zeros(3), "`stem.c.x[1]` is of type numpy.ndarray, which YAML cannot hold", "convert it with `.tolist()`; "),
        ({3}, "`stem.c.x[1]` is of type set, which YAML cannot hold", "convert it to a list; "),
        (Path("x"), "`stem.c.x[1]` is of type pathlib.PosixPath, which YAML cannot hold", "convert it with `str(...)`; "),
        (b"x", "`stem.c.x[1]` is of type bytes, which YAML cannot hold", "dict, list, tuple, str, int, float, bool and None"),
        (float("nan"), "`stem.c.x[1]` is nan", "write a finite number, or a string"),
        ({(1, 2): 1}, "a key of `stem.c.x[1]` is of type tuple", "keys are of type str"),
    ],
)
def test_other_types_are_refused_with_their_path(value: object, message: str, help: str) -> None:
    (finding,) = refusals({"spec": 1, "stem": {"c": {"x": [1, value]}}})
    assert finding.message == message
    assert finding.help.startswith(help)


def test_every_such_value_is_reported_in_order() -> None:
    found = refusals({"a": {1}, "b": [b"", {(1, 2): 3}], "c": object()})
    assert [finding.message.split("`")[1] for finding in found] == ["a", "b[0]", "b[1]", "c"]


def test_data_that_contain_themselves_are_refused() -> None:
    data: dict[str, object] = {"a": 1}
    data["b"] = [data]
    assert "Circular" in refusals(data)[0].message
