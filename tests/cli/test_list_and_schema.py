"""`resnet-spec list` and `resnet-spec schema`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from resnet_spec.cli import group
from resnet_spec.language.library import library_block_names, shipped_names
from resnet_spec.language.schemas import schema_document


def run(*arguments: str) -> str:
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_names_every_shipped_spec_with_the_papers_counts() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--format", "json"))["specs"]}
    assert set(rows) == set(shipped_names())
    assert (rows["resnet50"]["parameters"], rows["resnet50"]["multiply-adds"]) == (25557032, 4089184256)
    assert rows["resnet50"]["about"].startswith("ImageNet ResNet-50")
    names = "resnet152", "variants/resnet18_96px", "torchvision/inception_v3"
    assert [rows[name]["family"] for name in names] == ["resnet", "variants/resnet_96px", "torchvision/inception_v3"]


def test_every_shipped_spec_has_a_row_in_the_table() -> None:
    rows = [line.split() for line in run("list").splitlines()[1:]]
    assert len(rows) == len(shipped_names())
    assert all(any(name in row for row in rows) for name in shipped_names())


def test_every_block_of_the_library_is_listed() -> None:
    output = run("list", "--blocks")
    assert all(name in output for name in library_block_names())


def test_schema_prints_the_checked_in_file() -> None:
    assert json.loads(run("schema")) == schema_document()
