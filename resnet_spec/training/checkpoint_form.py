"""The form of a checkpoint: what its values must be for a run to continue from them.

The hash in the name of a checkpoint says that it is as it was written, and not that this program wrote it. All is compared
before anything is restored: keys, types, shapes, and the ranges of counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training.optimizer import make_optimizer
from resnet_spec.training.recipe import Recipe

_COUNTS = ("epoch", "step")  # fields of a row that are integers
_SCALER = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
_FACTOR = 16  # bytes of a checkpoint are below this many times those of the weights, and a constant
_CONSTANT = 256 * 2**20


class FormError(ValueError):
    """A checkpoint is not of the form that a run needs; the message says what is not."""


@dataclass(frozen=True)
class Form:
    """What the state of a run is like. `steps` is the length of the run, in steps of the optimizer."""

    module: nn.Module
    recipe: Recipe
    steps: int

    @property
    def most_bytes(self) -> int:
        """More bytes than a checkpoint of the run has."""
        held: int = sum(each.nbytes for each in self.module.state_dict().values())
        return _CONSTANT + _FACTOR * held

    @cached_property
    def _optimizer(self) -> torch.optim.Optimizer:
        return make_optimizer(self.module, self.recipe)

    @cached_property
    def _state_forms(self) -> dict[int, dict[str, object]] | None:
        return _state_forms(self._optimizer)

    def check(self, state: Mapping[str, object], step: int) -> None:
        """Raise FormError where `state` is not that of the run after `step` steps."""
        _require(_is_count(state.get("format")) and state["format"] == 1, "format")
        _require(_is_count(state.get("step")) and state["step"] == step and step <= self.steps, "step")
        weights = self.module.state_dict()
        _check_tensors("module", state.get("module"), weights)
        self._check_optimizer(state.get("optimizer"))
        self._check_scaler(state.get("scaler"))
        if self.recipe.ema is None:
            _require(state.get("average") is None, "average")
        else:
            _check_tensors("average", state.get("average"), weights)
        _require(_is_count(state.get("averaged")), "averaged")
        self._check_progress(state)
        self._check_sums(state.get("sums"))

    def _check_optimizer(self, found: object) -> None:
        optimizer = self._optimizer
        own = optimizer.state_dict()["param_groups"]
        assert isinstance(own, list)
        _require(isinstance(found, dict) and found.keys() == {"state", "param_groups"}, "optimizer")
        assert isinstance(found, dict)
        groups, states = found["param_groups"], found["state"]
        _require(isinstance(groups, list) and len(groups) == len(own), "optimizer.param_groups")
        for there, here in zip(groups, own, strict=True):
            _require(isinstance(there, dict) and there.keys() == here.keys(), "optimizer.param_groups")
            for key, value in there.items():
                fits = _is_like(value, here[key])
                if key == "params":
                    fits = isinstance(value, list) and all(map(_is_count, value)) and value == here[key]
                _require(fits, f"optimizer.param_groups.{key}")
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        _require(isinstance(states, dict), "optimizer.state")
        forms = self._state_forms
        for number, values in states.items():
            _require(_is_count(number) and number < len(parameters), "optimizer.state")
            _require(isinstance(values, dict), f"optimizer.state.{number}")
            expected = None if forms is None else forms[number]
            _require(expected is None or not values or values.keys() == expected.keys(), f"optimizer.state.{number}")
            for key, value in values.items():
                form = None if expected is None else expected[key]
                name = f"optimizer.state.{number}.{key if isinstance(key, str) else '?'}"
                if isinstance(form, Tensor):
                    _require(_is_tensor_like(value, form), name)
                elif form is not None:
                    _require(_is_like(value, form), name)
                else:
                    _require(_is_number(value) or _broadcasts(value, parameters[number]), name)

    def _check_scaler(self, found: object) -> None:
        _require(isinstance(found, dict), "scaler")
        assert isinstance(found, dict)
        if self.recipe.precision != "fp16":
            return
        _require(not found or found.keys() == set(_SCALER), "scaler")
        for key, value in found.items():
            _require(_is_count(value) if key in _SCALER[3:] else _is_number(value) and value > 0, f"scaler.{key}")

    def _check_progress(self, state: Mapping[str, object]) -> None:
        rows, timings = state.get("rows"), state.get("timings")
        _require(isinstance(rows, list), "rows")
        _require(isinstance(timings, list), "timings")
        assert isinstance(rows, list)
        assert isinstance(timings, list)
        _require(len(timings) == len(rows), "timings")
        for key, kind, values in (("rows", EpochRow, rows), ("timings", Timing, timings)):
            names = {field.name for field in dataclasses.fields(kind)}
            optional = {field.name for field in dataclasses.fields(kind) if "None" in str(field.type)}
            for number, row in enumerate(values):
                _require(isinstance(row, dict) and row.keys() == names, key)
                _require(_is_count(row["epoch"]) and row["epoch"] == number + 1, f"{key}.epoch")
                for name, value in row.items():
                    number_or_none = (value is None and name in optional) or isinstance(value, float) or _is_count(value)
                    _require(_is_count(value) if name in _COUNTS else number_or_none, f"{key}.{name}")
        best_epoch, warm_end = state.get("best_epoch"), state.get("warm_end")
        _require(isinstance(best_epoch, int) and _is_count(best_epoch) and best_epoch <= len(rows), "best_epoch")
        for key in ("best", "seconds", "epoch_seconds"):
            _require(_is_number(state.get(key)), key)
        _require("warm_end" in state and (warm_end is None or _is_count(warm_end)), "warm_end")
        _require(isinstance(state.get("stopped_early"), bool), "stopped_early")

    def _check_sums(self, found: object) -> None:
        """The sums of each process: the loss, and two pairs of counts."""
        _require(isinstance(found, list) and bool(found), "sums")
        assert isinstance(found, list)
        for each in found:
            _require(isinstance(each, tuple | list) and len(each) == 3 and isinstance(each[0], float), "sums")
            for pair in each[1:]:
                _require(isinstance(pair, list) and len(pair) == 2 and all(map(_is_count, pair)), "sums")


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise FormError(f"its `{what}` is not that of this run")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e36 and math.isfinite(value)


def _is_like(value: object, own: object) -> bool:
    """Whether a value is of the type of another one; numbers are finite, and integers may be in the place of others."""
    if isinstance(own, Tensor):
        return _is_tensor_like(value, own)
    if isinstance(own, bool) or own is None or isinstance(own, str):
        return type(value) is type(own)
    if isinstance(own, int | float):
        return _is_number(value)
    if isinstance(own, tuple | list):
        return isinstance(value, tuple | list) and len(value) == len(own) and all(map(_is_like, value, own))
    return type(value) is type(own)


def _is_dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def _broadcasts(value: object, parameter: Tensor) -> bool:
    """Whether a tensor can be combined with a parameter, where it is not known what the optimizer keeps."""
    if not isinstance(value, Tensor) or not _is_dense(value) or value.is_complex() or value.is_quantized:
        return False
    sizes = zip(reversed(value.shape), reversed(parameter.shape), strict=False)
    return value.ndim <= parameter.ndim and all(own in (1, other) for own, other in sizes)


def _is_tensor_like(value: object, own: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and _is_dense(value)
        and value.shape == own.shape
        and value.is_floating_point() == own.is_floating_point()
        and not value.is_complex()
        and not value.is_quantized
    )


def _check_tensors(what: str, found: object, own: Mapping[str, Tensor]) -> None:
    _require(isinstance(found, Mapping) and found.keys() == own.keys(), what)
    assert isinstance(found, Mapping)
    for name, tensor in own.items():
        _require(_is_tensor_like(found[name], tensor) and found[name].dtype == tensor.dtype, f"{what}.{name}")


def _state_forms(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, object]] | None:
    """What an optimizer keeps for each parameter after a step, on tensors without data; None where it cannot take one there."""
    groups, number, copies = [], 0, {}
    for group in optimizer.param_groups:
        parameters = []
        for each in group["params"]:
            copies[number] = nn.Parameter(torch.empty_like(each, device="meta"))
            copies[number].grad = torch.empty_like(copies[number])
            parameters.append(copies[number])
            number += 1
        groups.append({**group, "params": parameters})
    arguments = {key: value for key, value in optimizer.defaults.items() if key in type(optimizer).__init__.__annotations__}
    try:
        other = type(optimizer)(groups, **{**arguments, "foreach": False} if "foreach" in arguments else arguments)
        for group in other.param_groups:
            if "foreach" in group:
                group["foreach"] = False
        other.step()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    return {number: dict(other.state[copy]) for number, copy in copies.items()}
