"""Rules about the size of the map."""

from __future__ import annotations

import pytest

import resnet_spec
from tests.lint.examples import find, marked, only, spec

SMALL_STEM = "stem: {conv: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1, bias: false}, bn: norm, relu: act}\n"


def stages(*strides: int, input: str, stem: str = SMALL_STEM) -> str:
    lines = "".join(f"  s{number}: {{width: 8, depth: 2, stride: {stride}}}\n" for number, stride in enumerate(strides))
    return spec(f"{stem}block: basic\nstages:\n{lines}", input)


def codes(text: str) -> set[str]:
    return {finding.code for finding in resnet_spec.analyze(text).lints}


ONE_PIXEL = {"one-pixel-before-last-stage", "norm-on-one-pixel", "stem-of-large-images"}


def test_a_map_of_one_pixel_before_the_last_stage() -> None:
    text = stages(2, 2, 2, 1, input="3x8x8")
    assert only(text, "one-pixel-before-last-stage").message.startswith("the map is 1x1 from s2.0.conv1 on, and the stage `s3`")
    assert codes(text) & ONE_PIXEL == {"one-pixel-before-last-stage"}


def test_a_norm_of_one_pixel_in_the_last_stage() -> None:
    text = stages(2, 2, 2, input="3x8x8")
    assert only(text, "norm-on-one-pixel").message.startswith("s2.0.bn1 normalizes")
    assert codes(text) & ONE_PIXEL == {"norm-on-one-pixel"}


@pytest.mark.parametrize(
    "text",
    [
        stages(2, 2, 2, input="3x16x16"),
        # Norms after a pool to one pixel, or a kernel that covers the map, are made on purpose.
        spec(SMALL_STEM, head="head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, bn2: norm}"),
        spec(SMALL_STEM, "3x8x8", head="head: {pool: {op: avg_pool2d, kernel_size: 8}, bn2: norm}"),
        spec(SMALL_STEM, "3x5x5", head="head: {c: {op: conv2d, out_channels: 8, kernel_size: 5, bias: false}, bn2: norm}"),
        # A norm of whole pixels needs one pixel only.
        "norm: layer_norm\n" + stages(2, 2, 2, input="3x8x8"),
        # Gates are computed from the whole image.
        spec(
            "blocks: {gate: {branch: {p: {op: adaptive_avg_pool2d, output_size: 1}, c: {op: conv2d, out_channels: channels,"
            " kernel_size: 1, bias: false}, n: norm, s: sigmoid}, join: multiply}}\n"
            + SMALL_STEM
            + "stages: {g: gate, h: gate}"
        ),
    ],
)
def test_maps_that_are_large_enough(text: str) -> None:
    assert codes(text) & ONE_PIXEL == set()


def test_a_stem_for_large_images() -> None:
    text = "spec: 1\nname: mine\nextends: resnet18\ninput: 3x32x32\n"
    finding = only(text, "stem-of-large-images")
    assert marked(finding) == "3x32x32"
    assert "the 32x32 image is reduced to 8x8" in finding.message
    assert codes(text) & ONE_PIXEL == {"stem-of-large-images"}  # what follows from it is not reported


def test_a_stem_for_large_images_of_the_file_itself() -> None:
    conv = "{op: conv2d, out_channels: 8, kernel_size: 7, stride: 2, padding: 3}"
    stem = f"stem: {{conv: {conv}, pool: {{op: max_pool2d, kernel_size: 2}}}}\n"
    assert marked(only(stages(1, 2, input="3x64x64", stem=stem), "stem-of-large-images")) == "conv"
    assert find(stages(1, 2, input="3x65x65", stem=stem), "stem-of-large-images") == []
    assert find(stages(1, 1, input="3x64x64", stem=stem), "stem-of-large-images") == []  # patches, as in ConvMixer


@pytest.mark.parametrize("name", ["cifar_resnet20", "resnet50"])
def test_stems_that_fit_their_images(name: str) -> None:
    assert find(f"spec: 1\nname: mine\nextends: {name}\n", "stem-of-large-images") == []


def test_a_receptive_field_is_the_same_whether_it_is_decided_by_the_first_nodes_or_by_all() -> None:
    """The field of n 3x3 convolutions is 2n + 1 (Araujo et al. 2019)."""
    for count, few in ((40, True), (63, True), (64, False), (80, False)):
        lines = "".join(f"  c{n}: {{op: conv2d, out_channels: 3, kernel_size: 3, padding: 1}}\n" for n in range(count))
        found = find(spec(f"stem:\n{lines}", "3x129x129"), "small-receptive-field")
        assert [f"{2 * count + 1}x{2 * count + 1} pixels" in each.message for each in found] == ([True] if few else [])


AUXILIARY = """
  aux:
    op: sequential
    ops: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
  deep: {op: conv2d, from: conv, out_channels: 8, kernel_size: 33, stride: 2, padding: 16}
"""


@pytest.mark.parametrize("flag", [", training_only: true", ""])
def test_an_auxiliary_head_may_see_a_part_of_the_image(flag: str) -> None:
    """As in Szegedy et al. 2015, section 5: it reads a middle layer on purpose."""
    outputs = f"outputs: {{logits: fc, aux: {{from: aux{flag}}}}}\n"
    assert find(spec(f"{SMALL_STEM}stages: {AUXILIARY}{outputs}"), "small-receptive-field") == []
    shallow = AUXILIARY.replace("kernel_size: 33, stride: 2, padding: 16", "kernel_size: 3, padding: 1")
    found = only(spec(f"{SMALL_STEM}stages: {shallow}{outputs}"), "small-receptive-field")
    assert found.message.startswith("each input pixel of avgpool depends on 5x5 pixels")


def test_after_global_context_every_pixel_sees_the_whole_image() -> None:
    context = """
  weights: {op: conv2d, from: conv, out_channels: 1, kernel_size: 1}
  softmax: {op: softmax, over: pixels}
  weighted: {op: multiply, from: [conv, softmax]}
  context: {op: sum, over: pixels}
  spread: {op: upsample, like: conv}
  total: {op: add, from: [conv, spread]}
"""
    assert find(spec(f"{SMALL_STEM}stages: {context}"), "small-receptive-field") == []
    assert only(spec(SMALL_STEM), "small-receptive-field").message.startswith("each input pixel of avgpool depends on 3x3")
