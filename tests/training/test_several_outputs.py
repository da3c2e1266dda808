"""Training a network with several outputs: the loss of all that are weighed, the figures of the main one."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import resnet_spec
from resnet_spec.diagnostics import RecipeError
from resnet_spec.training.outputs import main_output
from resnet_spec.training.plan import describe_plan
from tests.training.tiny import DATA, SPEC, Ear, loop_of, ready, train

pytestmark = pytest.mark.torch
AUXILIARY = (
    SPEC
    + """  middle: {op: mean, over: pixels, keepdim: false, from: layer1}
  aux: {op: linear, out_features: classes}
  map: {op: conv2d, out_channels: 4, kernel_size: 1, from: layer2}
outputs: {aux: {from: aux, training_only: true}, logits: fc, map: map}
"""
)


def plain_loop(module: nn.Module, batches: list[tuple[Tensor, Tensor]], weight: float) -> list[float]:
    """One epoch as one would write it, with the loss of two outputs."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    module.train()
    for number, (images, labels) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - (1 - math.cos(math.pi * number / (len(batches) - 1))) / 2)
        optimizer.zero_grad()
        outputs = module(images)
        loss = F.cross_entropy(outputs["logits"], labels) + weight * F.cross_entropy(outputs["aux"], labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("weight", [0.3, 0.0])
def test_the_steps_are_those_of_a_plain_loop_to_the_bit(weight: float) -> None:
    session = ready(spec=AUXILIARY, epochs=1, auxiliary={"aux": weight})
    other = copy.deepcopy(session.subject.module)
    batches = [(batch.images, batch.labels) for (batch,) in session.feeds.training.epoch(0)]
    losses = plain_loop(other, batches, weight)
    ear = Ear()
    loop_of(session, ear).run()
    assert ear.losses == losses
    state = other.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in session.subject.module.state_dict().items())


def test_a_run_is_evaluated_and_predicts_by_its_main_output(tmp_path: Path) -> None:
    result = train(tmp_path / "run", spec=AUXILIARY, auxiliary={"aux": 0.3}, epochs=1)
    again = resnet_spec.evaluate(tmp_path / "run")
    assert result.test is not None
    assert again.scores.accuracy == result.test.accuracy
    network = resnet_spec.build(tmp_path / "run" / "spec.yaml", weights=tmp_path / "run" / "last.safetensors").eval()
    x = torch.rand(2, 3, 12, 12)
    assert torch.equal(main_output(network(x)), network(x)["logits"])


def test_the_plan_says_what_the_loss_is_computed_of() -> None:
    plan = describe_plan(ready(spec=AUXILIARY, auxiliary={"aux": 0.3}))
    assert "the loss is that of logits + 0.3 aux; figures are those of logits; without a loss: map" in plan


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        ({"oux": 0.3}, "there is no output `oux`"),
        ({"logits": 0.3}, "`logits` is the main output"),
        ({"map": 0.3}, "the output `map` is 4x6x6"),
    ],
)
def test_an_output_that_no_class_can_be_read_from_is_refused(auxiliary: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        ready(spec=AUXILIARY, auxiliary=auxiliary)
    (finding,) = caught.value.diagnostics
    assert finding.code == "recipe-auxiliary"
    assert finding.help


def test_a_network_of_one_output_takes_no_auxiliary_loss() -> None:
    with pytest.raises(RecipeError, match="there is no output `aux`"):
        ready(auxiliary={"aux": 0.3})


def test_a_plain_module_may_return_a_dict() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(432, 4), nn.Linear(432, 4)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.first(x.flatten(1)), "b": self.second(x.flatten(1))}

    session = ready(DATA, spec=Two(), input=(3, 12, 12), epochs=1, auxiliary={"b": 0.5})
    ear = Ear()
    loop_of(session, ear).run()
    assert len(ear.losses) == 5


def test_stem_stages_and_head_can_be_frozen_and_the_plan_counts_what_is_trained() -> None:
    session = ready(freeze=["stem", "stages"])
    trained = {name for name, parameter in session.subject.module.named_parameters() if parameter.requires_grad}
    assert trained == {"fc.weight", "fc.bias"}
    assert "132 of " in describe_plan(session)
    inline = SPEC.replace("layer1: {width: 16}", "layer1: {width: 16, inline: true}")
    session = ready(spec=inline, freeze=["layer1", "head"])
    frozen = {name.split(".")[0] for name, each in session.subject.module.named_parameters() if not each.requires_grad}
    assert frozen == {"0", "fc"}
