"""What fixes the size of the input is named: a join, or a flatten."""

from __future__ import annotations

from resnet_spec import analyze
from resnet_spec.diagnostics import Diagnostic

HEAD = """\
head:
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: 10}
"""


def fixed(text: str) -> list[Diagnostic]:
    return [finding for finding in analyze(text).lints if finding.code == "fixed-input-size"]


def block(join: str, up: str, head: str = HEAD) -> str:
    return f"""\
spec: 1
input: 3x64x64
blocks:
  fuse:
    branch:
      low: {{op: conv2d, out_channels: 3, kernel_size: 3, stride: 2, padding: 1}}
      up: {up}
      both: {{op: {join}, from: [input, up]}}
stem: {{fuse: fuse}}
{head}"""


def test_an_add_with_a_value_of_one_size_is_named() -> None:
    (finding,) = fixed(block("add", "{op: adaptive_avg_pool2d, output_size: 64}"))
    assert finding.message.startswith(
        "fuse.both fixes the size of the input: the network accepts height and width of 64 pixels"
    )
    assert "3x64x64 for any image" in finding.message
    assert finding.span is not None
    assert finding.span.source.line(finding.span.line).strip().startswith("both:")


def test_a_concat_with_a_value_of_one_size_is_named() -> None:
    (finding,) = fixed(block("concat", "{op: adaptive_avg_pool2d, output_size: 64}"))
    assert finding.message.startswith("fuse.both fixes")


def test_a_gate_of_one_pixel_fixes_nothing() -> None:
    assert fixed(block("multiply", "{op: adaptive_avg_pool2d, output_size: 1}")) == []


def test_without_a_join_the_flatten_is_named() -> None:
    text = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 4, kernel_size: 3}}\n"
    (finding,) = fixed(text + "head: {flatten: flatten, fc: {op: linear, out_features: 10}}\n")
    assert finding.message.startswith("flatten outputs 144 features")


def test_the_first_of_a_join_and_a_flatten_is_named() -> None:
    head = "head: {flatten: flatten, fc: {op: linear, out_features: 10}}\n"
    (finding,) = fixed(block("add", "{op: adaptive_avg_pool2d, output_size: 64}", head))
    assert finding.message.startswith("fuse.both fixes")


def test_a_network_of_any_size_has_no_such_warning() -> None:
    text = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 4, kernel_size: 3}}\n" + HEAD
    assert fixed(text) == []
