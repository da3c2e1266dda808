"""`resnet-spec summary`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_spec.cli import group


def summary(*arguments: str) -> Result:
    done = CliRunner().invoke(group, ["summary", *arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("conv1", "floor((224 + 2*3 - 7) / 2) + 1 = 112"),
        ("maxpool", "floor((112 + 2*1 - 3) / 2) + 1 = 56"),
        ("layer1.0.conv1", "floor((56 + 2*1 - 3) / 1) + 1 = 56"),
        ("layer2.0.conv1", "floor((56 + 2*1 - 3) / 2) + 1 = 28"),
        ("layer2.0.downsample.0", "floor((56 - 1) / 2) + 1 = 28"),
        ("fc", "weights 512 * 1000 + 1000 = 513000"),
    ],
)
def test_arithmetic_shows_the_worked_formula(name: str, formula: str) -> None:
    lines = summary("resnet34", "--arithmetic").output.splitlines()
    assert [line for line in lines if line.startswith(f"{name} ") and line.endswith(formula)]


def test_a_block_of_the_library_alone() -> None:
    done = summary("block:basic", "--input", "64x224x224", "--set", "width=128", "--batch", "2")
    assert done.output.splitlines()[0] == "block:basic: 2x64x224x224 -> 2x128x224x224"
    rows = {line.split()[0]: line.split() for line in done.output.splitlines()[4:13]}
    assert rows["basic.conv1"][1:4] == ["conv2d", "2x64x224x224", "2x128x224x224"]
    assert rows["basic.conv1"][-1] == f"{64 * 128 * 9:,}"
    assert rows["basic.downsample.0"][-1] == f"{64 * 128:,}"


def test_an_argument_of_a_single_block_may_be_given_in_full() -> None:
    short = summary("block:basic", "--input", "8x4x4", "--set", "width=16", "--format", "json").output
    assert summary("block:basic", "--input", "8x4x4", "--set", "stages.basic.width=16", "--format", "json").output == short


def test_a_block_of_a_spec_alone() -> None:
    first = summary("resnet50", "--block", "bottleneck").output.splitlines()
    assert first[0] == "bottleneck (layer1.0 of resnet50): 64x56x56 -> 256x56x56"
    library = summary("block:bottleneck", "--input", "64x56x56", "--set", "width=64").output.splitlines()
    rows = [
        [line.split()[1:] for line in lines[3:] if line.startswith(("layer1.0.", "bottleneck."))] for lines in (first, library)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 12
    second = json.loads(summary("resnet50", "--block", "layer2.0", "--batch", "2", "--format", "json").output)
    assert (second["input"], second["output"]) == ([2, 256, 56, 56], [2, 512, 28, 28])
    assert second["params"] == sum(layer["params"] for layer in second["layers"]) == 379392


VECTOR = """
spec: 1
name: x
input: 3x8x8
blocks: {dense: {branch: {fc: {op: linear, out_features: 7}}}}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, d: dense}
"""


def test_a_block_after_a_flatten_takes_a_vector_and_has_no_receptive_field(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(VECTOR, encoding="utf-8")
    text = summary(str(path), "--block", "dense", "--memory").output
    assert text.startswith("dense (d of x): 3 -> 7\n")
    assert "\naccepts a vector of 3 numbers\n" in text
    done = CliRunner().invoke(group, ["summary", str(path), "--block", "dense", "--field"])
    assert done.exit_code == 2
    assert "there are no receptive fields" in done.output


def test_a_block_that_is_not_used_is_a_finding() -> None:
    done = CliRunner().invoke(group, ["summary", "resnet50", "--block", "botleneck", "--message-format", "json"])
    assert done.exit_code == 2
    (finding,) = json.loads(done.stderr)["diagnostics"]
    assert (finding["code"], finding["help"]) == ("unknown-block", "did you mean `bottleneck`?")


def test_json_is_versioned_and_adds_up() -> None:
    document = json.loads(summary("resnet18", "--format", "json", "--detail", "op").output)
    assert document["version"] == 1
    assert (document["name"], document["input"], document["output"]) == ("resnet18", [3, 224, 224], [1000])
    assert document["params"] == sum(layer["params"] for layer in document["layers"]) == 11689512
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"])


def test_json_has_the_batch_where_one_is_given() -> None:
    document = json.loads(summary("resnet18", "--format", "json", "--batch", "4").output)
    assert (document["input"], document["output"]) == ([4, 3, 224, 224], [4, 1000])


def test_json_has_the_memory_under_its_old_key_too() -> None:
    memory = json.loads(summary("resnet18", "--format", "json").output)["memory"]
    assert memory["optimiser"] == memory["optimizer"] == 4 * 11689512  # the momentum of each parameter
    assert {"batch", "dtype", "params", "buffers", "gradients", "optimiser", "saved", "peak"} <= set(memory)


def test_markdown_is_a_table_of_equal_rows() -> None:
    lines = summary("resnet18", "--format", "markdown").output.splitlines()
    assert all(line.startswith("|") for line in lines)
    assert len({line.count("|") for line in lines}) == 1
    assert set(lines[1]) <= set("|-: ")


def test_repeated_blocks_are_one_row_with_what_all_cost() -> None:
    output = summary("cifar_resnet110").output
    (row,) = [line for line in output.splitlines() if line.startswith("layer1.0 ... layer1.17")]
    assert row.split()[-1] == f"{18 * (2 * 16 * 16 * 9 + 2 * 2 * 16):,}"


@pytest.mark.parametrize(("detail", "rows"), [("stage", 11), ("op", 60 + 9)])
def test_detail_decides_what_a_row_is(detail: str, rows: int) -> None:
    """resnet18: 4 + 3 operations around 4 stages; 8 blocks of 7 operations, of which 3 have a projection of two."""
    layers = json.loads(summary("resnet18", "--detail", detail, "--format", "json").output)["layers"]
    assert len(layers) == (7 + 4 if detail == "stage" else 7 + 8 * 7 + 3 * 2)
    assert len(layers) == rows


def test_a_head_that_does_not_fit_another_size_is_reported_with_both_sizes() -> None:
    done = CliRunner().invoke(group, ["summary", "variants/resnet34_avgpool7", "--input", "3x448x448"])
    assert done.exit_code == 1
    assert "fc at input 3x448x448: linear was built for 512 features, but its input has 2048" in done.output
    assert "= note: the network is built for 3x224x224" in done.output


def test_another_size_than_the_specs() -> None:
    done = summary("resnet18", "--input", "3x256x320")
    assert done.output.splitlines()[0] == "resnet18: 3x256x320 -> 1000"
    assert "`expect` is not checked for another input size or with --set" in done.output
    assert "height: floor((256 + 2*3 - 7) / 2) + 1 = 128; width: floor((320 + 2*3 - 7) / 2) + 1 = 160" in (
        summary("resnet18", "--input", "3x256x320", "--arithmetic").output
    )
