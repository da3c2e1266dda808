"""The networks of timm: all of its ResNet file are shipped, and some of each kind have its gradients, costs and accepted sizes.

`test_table.py` compares the keys and shapes of all.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.language.library import ambiguous_names, shipped_path
from tests.networks.references import draw_state, make_on_meta, make_undrawn, references, run
from tests.networks.test_reference_networks import assert_same, gradients

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:TF32 acceleration")]  # torch's, when oneDNN is turned off

ROWS = {name.removeprefix("timm."): reference for name, reference in references().items() if name.startswith("timm.")}
# The smallest square that is accepted. One of each kind: basic blocks or bottlenecks with each of the mixins, and others.
LEAST = {
    "ecaresnet50d_pruned": 1,
    "ecaresnext26t_32x4d": 1,
    "resnet50_gn": 1,
    "resnetaa34d": 31,
    "resnetblur18": 17,
    "resnetrs50": 1,
    "seresnet50t": 1,
    "test_resnet": 1,
    "convnext_atto": 32,
    "resnetv2_50": 1,
    "efficientnet_b0": 1,
}


def test_every_network_of_the_resnet_file_of_timm_is_shipped() -> None:
    import_torchvision()
    import timm
    from timm.models import resnet

    published = {name.partition(".")[0] for name in resnet.default_cfgs}
    named = {name for name in timm.list_models(module="resnet") if name in published}
    assert len(named) == 81
    assert named <= set(ROWS)
    assert all(shipped_path(name) for name in named), "found without its folder"


def test_one_network_in_two_namings_is_two_specs_of_one_short_name() -> None:
    names = ("timm/efficientnet_b0", "torchvision/efficientnet_b0")
    assert ambiguous_names("efficientnet_b0") == names
    assert shipped_path("efficientnet_b0") is None
    assert len({resnet_spec.analyze(name).total.params for name in names}) == 1


@pytest.mark.parametrize("name", [name for name, reference in ROWS.items() if reference.spec.startswith("timm/")])
def test_the_weights_of_a_spec_are_those_that_timm_publishes(name: str) -> None:
    """Those that timm takes by default, or else the first; `input` is the size that they were trained at."""
    import_torchvision()
    from timm.models import PretrainedCfg, get_pretrained_cfg, list_pretrained

    def published_as(tagged: str) -> PretrainedCfg:
        found = get_pretrained_cfg(tagged)
        assert found is not None
        return found

    analysis = resnet_spec.analyze(ROWS[name].spec)
    weights = analysis.spec.weights
    published = [tagged for tagged in list_pretrained(f"{name}.*") if published_as(tagged).num_classes == 1000]
    assert analysis.spec.name == name
    if weights is None:
        assert not published
        assert analysis.input == published_as(name).input_size
    else:
        assert weights.kind == "hf"
        assert weights.name.removeprefix("timm/") in published
        assert analysis.input == published_as(weights.name.removeprefix("timm/")).input_size


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_outputs_and_gradients_have_the_bits_of_timm(name: str) -> None:
    torch.manual_seed(0)
    theirs = make_undrawn(ROWS[name])
    draw_state(theirs)
    ours = resnet_spec.build(ROWS[name].spec, initialize=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 66)
    for training in (False, True):
        expected, found = (run(model, x, (), training) for model in (theirs, ours))
        assert_same(expected, found, f"outputs, training={training}")
    assert_same(gradients(theirs, expected), gradients(ours, found), "gradients")
    assert_same(theirs.state_dict(), ours.state_dict(), "statistics after training")


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_costs_and_the_smallest_image_are_those_of_timm(name: str) -> None:
    analysis, theirs, least = resnet_spec.analyze(ROWS[name].spec), make_on_meta(ROWS[name]).train(), LEAST[name]
    expect = analysis.spec.expect
    assert expect is not None
    fixed = macs_of_blurs(theirs, analysis.input)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs(torch.empty(2, *analysis.input, device="meta"))
    assert expect.counts["macs"] == counter.get_total_flops() // 4 - fixed
    assert expect.squares == (least, None)
    theirs(torch.empty(2, 3, least, least, device="meta"))
    if least > 1:
        with pytest.raises(RuntimeError):
            theirs(torch.empty(2, 3, least - 1, least - 1, device="meta"))


def macs_of_blurs(model: nn.Module, size: tuple[int, ...]) -> int:
    """Multiply-adds of blurs for one image: for torch, their fixed filters are convolutions, and a spec does not count them."""
    from timm.layers.blur_pool import BlurPool2d

    found: list[int] = []
    handles = [
        module.register_forward_hook(lambda blur, _, y: found.append(y.numel() * blur.filt_size**2))
        for module in model.modules()
        if isinstance(module, BlurPool2d)
    ]
    model(torch.empty(1, *size, device="meta"))
    for handle in handles:
        handle.remove()
    return sum(found)


def test_blocks_begin_as_the_identity_as_in_timm() -> None:
    model = resnet_spec.build("seresnet18")
    zero = {name for name, tensor in model.named_parameters() if name.endswith("weight") and not tensor.any()}
    assert zero == {f"layer{stage}.{block}.bn2.weight" for stage in (1, 2, 3, 4) for block in (0, 1)}
