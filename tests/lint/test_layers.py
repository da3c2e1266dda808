"""Rules about one operation or neighboring ones: each with networks that give the warning, and legitimate ones that do not."""

from __future__ import annotations

import pytest

from tests.lint.examples import find, marked, only, spec


def stem(*lines: str, input: str = "3x32x32", head: str | None = None) -> str:
    body = "stem:\n" + "".join(f"  {line}\n" for line in lines)
    return spec(body, input) if head is None else spec(body, input, head=head)


def conv(name: str, width: object, kernel: object = 3, more: str = "padding: 1, bias: false") -> str:
    return f"{name}: {{op: conv2d, out_channels: {width}, kernel_size: {kernel}, {more}}}"


A, B = conv("a", 8), conv("b", 8)
VECTOR = """
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
"""


@pytest.mark.parametrize(
    "line",
    [
        conv("a", 8, 2),
        conv("a", 8, 4),
        conv("a", 8, 4, "padding: 2"),
        conv("a", 8, "[4, 3]"),
        conv("a", 8, 2, "padding: 1, dilation: 3"),
        "a: {op: max_pool2d, kernel_size: 2, stride: 1, padding: 1}",
    ],
)
def test_an_even_kernel_with_the_same_padding_on_both_sides(line: str) -> None:
    finding = only(stem(line), "even-kernel")
    assert marked(finding) == "a"
    assert ("`padding: same`" in finding.help) == ("conv2d" in line)


@pytest.mark.parametrize(
    "line",
    [
        A,
        conv("a", 8, 4, "padding: same"),
        conv("a", 8, 4, "stride: 2, padding: 1"),
        conv("a", 8, 4, "stride: 4"),
        conv("a", 8, 2, "bias: false"),
        conv("a", 8, "[4, 3]", "padding: [0, 1]"),
        conv("a", 8, 2, "padding: 1, dilation: 2"),
        "a: {op: blur_pool2d, kernel_size: 4, stride: 1}",
    ],
)
def test_kernels_that_are_centered(line: str) -> None:
    assert find(stem(line), "even-kernel") == []


@pytest.mark.parametrize(
    "lines",
    [
        (A, "n1: norm", "n2: norm"),
        (A, "n1: norm", "n2: {op: group_norm, num_groups: 2}"),
        (A, "n1: norm", "i: identity", "n2: norm"),
        (A, "n1: norm", "r1: relu", "r2: relu"),
        (A, "r1: silu", "r2: silu"),
    ],
)
def test_a_norm_or_an_activation_twice(lines: tuple[str, ...]) -> None:
    assert marked(only(stem(*lines), "doubled-operation")) == lines[-1].partition(":")[0]


@pytest.mark.parametrize(
    "lines",
    [
        (A, "n1: norm", "r1: relu", "n2: norm"),
        (A, "r1: relu", "p: {op: max_pool2d, kernel_size: 2}", "r2: relu"),
        (A, "r1: elu", "t: tanh"),
        (A, "n1: norm", "drop: dropout"),
    ],
)
def test_norms_and_activations_that_differ(lines: tuple[str, ...]) -> None:
    assert find(stem(*lines), "doubled-operation") == []


def test_a_norm_whose_input_is_also_passed_on_is_not_doubled() -> None:
    block = "blocks: {b: {branch: {n: norm, r: act, c: {op: conv2d, out_channels: channels, kernel_size: 1}}, join: add}}\n"
    assert find(block + stem(A, "n1: norm", "b1: b"), "doubled-operation") == []


@pytest.mark.parametrize(
    "lines",
    [
        (A, B),
        (A, "n: norm", B),
        (A, "d: {op: dropout2d, p: 0.1}", B),
        (conv("a", 8, 1, "bias: false"), B),
        (A, conv("b", 16, 1, "bias: false")),
        (conv("a", 8, "[1, 3]", "padding: same"), conv("b", 8, "[1, 3]", "padding: same")),
    ],
)
def test_two_convolutions_without_an_activation(lines: tuple[str, ...]) -> None:
    finding = only(stem(*lines), "missing-activation")
    assert marked(finding) == "b"
    assert "`act`" in finding.help


@pytest.mark.parametrize(
    "lines",
    [
        (A, "r: act", B),
        (A, "n: layer_norm", B),
        (A, "p: {op: max_pool2d, kernel_size: 2}", B),
        (A, conv("b", 8, 3, "padding: 1, groups: 8"), "r: act"),
        (A, "r: act", conv("b", 8, 3, "padding: 1, groups: 8"), "n: norm", conv("c", 16, 1, "bias: false")),
        (A, "r: act", conv("b", 2, 1, "bias: false"), "n: norm", conv("c", 16, 1, "bias: false")),
        (conv("a", 8, "[1, 7]", "padding: same"), conv("b", 8, "[7, 1]", "padding: same")),
    ],
)
def test_pairs_of_convolutions_that_are_made_on_purpose(lines: tuple[str, ...]) -> None:
    assert find(stem(*lines), "missing-activation") == []


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (("f1: {op: linear, out_features: 64}", "f2: {op: linear, out_features: classes}"), 1),
        (("f1: {op: linear, out_features: 64}", "d: dropout", "f2: {op: linear, out_features: classes}"), 1),
        (("f1: {op: linear, out_features: 64}", "r: act", "f2: {op: linear, out_features: classes}"), 0),
        (("f1: {op: linear, out_features: 4}", "f2: {op: linear, out_features: classes}"), 0),  # a factorization
    ],
)
def test_two_linear_layers_without_an_activation(lines: tuple[str, ...], count: int) -> None:
    text = stem(conv("a", 32), "r0: act", head=VECTOR + "".join(f"  {line}\n" for line in lines))
    assert len(find(text, "missing-activation")) == count


def test_a_convolution_that_others_read_too_is_not_merged_with_the_next() -> None:
    block = "blocks: {b: {branch: {c: {op: conv2d, out_channels: 8, kernel_size: 1}}, join: add}}\n"
    assert find(block + stem(A, "b1: b"), "missing-activation") == []


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ((A, "d: {op: dropout2d, p: 0.1}", "n: norm"), 1),
        ((A, "d: dropout", "i: identity", "n: norm"), 1),
        ((A, "d: {op: dropout2d, p: 0}", "n: norm"), 0),
        ((A, "d: dropout", "n: layer_norm"), 0),
        ((A, "d: dropout", "r: act", "n: norm"), 0),
        ((A, "n: norm", "d: dropout"), 0),
    ],
)
def test_dropout_right_before_a_batch_norm(lines: tuple[str, ...], count: int) -> None:
    assert [marked(each) for each in find(stem(*lines), "dropout-before-batch-norm")] == ["d"] * count


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        ((conv("a", 12), "r: act", conv("b", 16)), ["a"]),
        ((conv("a", 24), "r: act", conv("b", 16)), []),
        ((conv("a", 24), "se: {op: squeeze_excite, reduction: 5}"), []),
    ],
)
def test_widths_that_are_not_multiples_of_8_on_request(lines: tuple[str, ...], places: list[str]) -> None:
    text = stem(*lines)
    assert find(text, "width-not-multiple-of-8") == []
    assert [marked(each) for each in find(text, "width-not-multiple-of-8", select=True)] == places


@pytest.mark.parametrize(
    "lines",
    [
        ("score: {op: conv2d, out_channels: 8, kernel_size: 1}", "up: {op: conv_transpose2d, out_channels: 8, kernel_size: 4}"),
        ("a: {op: linear, out_features: 8, over: channels}", "act: relu", "b: {op: linear, out_features: 8, over: channels}"),
        ("drop: {op: dropout, p: 0.1}", "norm: instance_norm"),
    ],
)
def test_transposed_convolutions_products_over_channels_and_norms_of_one_image_are_no_mistakes(lines: tuple[str, ...]) -> None:
    for code in ("missing-activation", "linear-over-width", "dropout-before-batch-norm"):
        assert find(stem(*lines), code) == []


def test_two_products_over_channels_without_an_activation() -> None:
    lines = [f"{name}: {{op: linear, out_features: 8, over: channels}}" for name in ("a", "b")]
    assert marked(only(stem(*lines), "missing-activation")) == "b"
