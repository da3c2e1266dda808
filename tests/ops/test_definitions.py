"""What the definitions say beside the signatures of torch's layers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnet_spec.language.spec import ADDED_LATER
from resnet_spec.ops import NEW_IN_0_2, OPERATIONS, Field, fields_of
from tests.measure import REFUSALS
from tests.naive_layers import PLAIN, naive_layer

pytestmark = pytest.mark.torch

LAYERS: dict[str, type[nn.Module]] = {
    **PLAIN,
    "conv2d": nn.Conv2d,
    "linear": nn.Linear,
    "batch_norm": nn.BatchNorm2d,
    "group_norm": nn.GroupNorm,
    "layer_norm": nn.LayerNorm,
    "blur_pool2d": type(naive_layer("blur_pool2d", {}, (1, 1, 1))),  # timm's
    "drop_path": type(naive_layer("drop_path", {}, (1,))),
    "pad": nn.ConstantPad2d,
    "conv_transpose2d": nn.ConvTranspose2d,
    "conv1d": nn.Conv1d,
    "prelu": nn.PReLU,
    "softplus": nn.Softplus,
    "hardtanh": nn.Hardtanh,
    "instance_norm": nn.InstanceNorm2d,
    "local_response_norm": nn.LocalResponseNorm,
    "upsample": nn.Upsample,
    "pixel_shuffle": nn.PixelShuffle,
    "pixel_unshuffle": nn.PixelUnshuffle,
    "channel_shuffle": nn.ChannelShuffle,
}
# Functions of torch, which have no layer, or one with other arguments: other tests compare their fields with the naive twin.
FUNCTIONS = {"softmax", "log_softmax", "mean", "sum", "amax", "slice", "scale"}
INFERRED = {
    *("in_channels", "in_features", "num_features", "num_channels", "normalized_shape", "channels"),
    *("inplace", "device", "dtype", "self", "aa_layer"),
}
# what torch's constructor takes and a spec cannot say
LEFT_OUT = {
    "max_pool2d": {"return_indices"},
    "adaptive_max_pool2d": {"return_indices"},
    "avg_pool2d": {"divisor_override"},
    "batch_norm": {"bias"},  # new in torch 2.13, and older ones are supported
    "group_norm": {"bias"},
    "drop_path": {"scale_by_keep"},
    "conv_transpose2d": {"padding_mode"},  # torch knows one: zeros
    "conv1d": {"out_channels", "stride", "dilation", "groups", "padding_mode"},
    "instance_norm": {"bias"},
    "upsample": {"recompute_scale_factor"},
    "hardtanh": {"min_value", "max_value"},  # old names
}
SPELLED = {  # other names for the same thing
    "blur_pool2d": {"filt_size": "kernel_size", "pad_mode": "mode"},
    "drop_path": {"drop_prob": "p"},
    "prelu": {"init": "init_value"},  # `init` is how the weight of any operation is initialized
}
OF_OUR_OWN = {  # torch has one layer for each mode; and none for these
    *(("pad", "mode"), ("conv2d", "weight_standardization"), ("linear", "over")),
}
JOINS = {"add", "subtract", "multiply", "concat"}


def as_pair(value: object) -> object:
    return (value, value) if type(value) is int else value


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in JOINS | FUNCTIONS])
def test_fields_are_the_arguments_of_the_torch_layer_with_its_defaults(name: str) -> None:
    theirs = {
        SPELLED.get(name, {}).get(parameter.name, parameter.name): parameter
        for parameter in inspect.signature(LAYERS[name].__init__).parameters.values()
        if parameter.name not in INFERRED | LEFT_OUT.get(name, set())
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    ours = {key: field for key, field in fields_of(OPERATIONS[name]).items() if (name, key) not in OF_OUR_OWN}
    assert set(ours) == set(theirs)
    for key, field in ours.items():
        assert agrees(field, theirs[key].default), f"{name}.{key}: {field.default} here, {theirs[key].default} in torch"


def agrees(field: Field, default: object) -> bool:
    if field.name == "value":  # the constant of `pad`: as torch.nn.functional.pad has it
        return field.default == 0
    if default is inspect.Parameter.empty:
        return field.required
    if default is None:
        if field.kind == "bool":
            return field.default is False  # torch's None stands for it
        return field.default_doc != ""  # it follows from other fields; `test_pooling` compares what it becomes
    return field.default == (as_pair(default) if field.kind == "pair" else default)


WORDS = {
    ("conv2d", "padding"): {"same", "valid"},
    ("conv2d", "padding_mode"): {"zeros", "reflect", "replicate", "circular"},
    ("gelu", "approximate"): {"none", "tanh"},
    ("pad", "mode"): {"constant", "reflect", "replicate", "circular"},
    ("blur_pool2d", "mode"): {"constant", "reflect", "replicate"},
    ("linear", "over"): {"features", "channels"},
    ("upsample", "mode"): {"nearest", "bilinear", "bicubic", "nearest-exact"},
    ("softmax", "over"): {"channels", "pixels", "groups"},
    ("log_softmax", "over"): {"channels", "pixels"},
    **{(name, "over"): {"channels", "pixels"} for name in ("mean", "sum", "amax")},
    ("scale", "tensor_shape"): {"vector", "map"},
}


def test_words_are_those_torch_knows() -> None:
    """Each word runs on a real image; torch refuses any other, so a word that it renames would be found here."""
    fields = {(name, field.name): set(field.words) for name, op in OPERATIONS.items() for field in fields_of(op).values()}
    assert {place: words for place, words in fields.items() if words} == WORDS
    required: dict[str, dict[str, Any]] = {
        "conv2d": {"out_channels": 2, "kernel_size": 3},
        "pad": {"padding": (1, 1, 1, 1)},
        "linear": {"out_features": 3},
        "upsample": {"size": (2, 2)},
    }
    for (name, field), words in WORDS.items():
        for word in words:
            more = {"groups": 2} if word == "groups" else {}
            naive_layer(name, required.get(name, {}) | {field: word} | more, (2, 5, 5))(torch.zeros(1, 2, 5, 5))
        with pytest.raises((*REFUSALS, TypeError)):
            naive_layer(name, required.get(name, {}) | {field: "mirror"}, (2, 5, 5))(torch.zeros(1, 2, 5, 5))


def test_every_operation_is_compared_with_a_layer() -> None:
    assert set(LAYERS) | JOINS | FUNCTIONS == set(OPERATIONS)
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))
    assert [name for name in OPERATIONS if f'"{name}"' not in tested] == []


def test_the_language_knows_which_operations_came_later() -> None:
    """A spec of before may have blocks of these names, and keeps them."""
    assert NEW_IN_0_2 == ADDED_LATER
