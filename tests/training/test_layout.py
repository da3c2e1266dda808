"""No operation is trained in a layout in which torch crashes or gives other gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resnet_spec.training.layout import reason_against_channels_last
from tests.training.layouts import Case, cases, run
from tests.training.tiny import SPEC, ready

GROUP_NORM = "norm={op: group_norm, num_groups: 4}"


@pytest.mark.slow
@pytest.mark.subprocess
def test_every_operation_trains_alike_in_both_layouts() -> None:
    outcomes = run(cases(), all_layouts=False)
    assert len(outcomes) == len(cases())
    assert [outcome for outcome in outcomes if outcome.result != "agrees" and not outcome.off] == []
    assert sum(bool(outcome.off) for outcome in outcomes) <= 12  # those of group norms without a gradient behind them


@pytest.mark.subprocess
def test_a_crash_is_attributed_to_its_case() -> None:
    """Where a later torch no longer crashes, the rule can go."""
    before, crash, after = chosen = [Case(name, fields, "first", "fp32") for name, fields in NEIGHBORS]
    outcomes = run(chosen)
    assert [outcome.case for outcome in outcomes] == [before, crash, after]
    assert [outcome.result.partition(" ")[0] for outcome in outcomes] == ["agrees", "crashes", "agrees"]
    assert "group norm" in outcomes[1].off


NEIGHBORS: tuple[tuple[str, dict[str, object]], ...] = (("tanh", {}), ("group_norm", {"num_groups": 4}), ("relu", {}))


@pytest.mark.parametrize(("freeze", "off"), [((), False), (("conv1",), True), (("layer1",), False), (("conv1", "bn1"), False)])
def test_channels_last_is_off_where_a_group_norm_gets_no_gradient(freeze: tuple[str, ...], off: bool) -> None:
    session = ready(set=(GROUP_NORM,), freeze=list(freeze))
    assert any("channels_last is off" in note for note in session.notes) is off
    ((part, *_), *_) = session.feeds.training.epoch(0)
    assert part.images.is_contiguous() is off


def test_a_group_norm_that_sees_the_image_turns_it_off() -> None:
    spec = SPEC.replace("stem: {", "stem: {first: {op: group_norm, num_groups: 1}, ")
    assert any("channels_last is off" in note for note in ready(spec=spec).notes)


class Functional(nn.Module):
    """Its group norm is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.group_norm(x, 1, self.scale)


def test_a_group_norm_is_found_wherever_it_is_and_a_module_is_run_only_where_there_may_be_one() -> None:
    ran: list[nn.Module] = []
    for layer, crashes in ((Functional(), True), (nn.GroupNorm(1, 3), True), (nn.BatchNorm2d(3), False)):
        module = nn.Sequential(layer)
        module.register_forward_hook(lambda module, *_: ran.append(module[0]))
        assert (reason_against_channels_last(module, (3, 8, 8)) is not None) == crashes
    assert [type(layer) for layer in ran] == [Functional, nn.GroupNorm]


class Unpredictable(nn.Module):
    """It cannot be run on tensors without data."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.norm(self.conv(x)) if x.mean() < 1e9 else x


def test_a_module_that_cannot_be_examined_is_trained_in_the_plain_layout() -> None:
    module = Unpredictable().eval()
    assert reason_against_channels_last(module, (3, 8, 8)) is not None
    assert not module.training
    module.norm = nn.Identity()  # type: ignore[assignment]
    assert reason_against_channels_last(module, (3, 8, 8)) is None
