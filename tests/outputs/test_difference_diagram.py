"""Two networks as one picture."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.comparison.difference import compare
from resnet_spec.language.library import shipped_names
from resnet_spec.outputs.difference_diagram import FILLS, draw_difference
from resnet_spec.outputs.render_dot import render_picture

SE = "spec: 1\nextends: [resnet50, mixins/se]\nname: seresnet50\n"


def fills(dot: str) -> list[str]:
    """What each box shows by its color, in order."""
    names = {color: status for status, color in FILLS.items()}
    return [names[color] for color in re.findall(r'fillcolor="(#\w+)"', dot)]


def test_added_blocks_are_green_and_the_rest_is_collapsed() -> None:
    deeper = draw_difference(resnet_spec.diff("resnet50", "resnet101")).dot
    assert fills(deeper) == ["same", "added", "same"]
    assert "+ layer3.6 ... layer3.22" in deeper
    assert "17 × bottleneck" in deeper  # noqa: RUF001
    assert fills(draw_difference(resnet_spec.diff("resnet101", "resnet50")).dot) == ["same", "removed", "same"]


def test_changed_parts_have_both_values() -> None:
    dot = draw_difference(resnet_spec.diff("resnet50", SE, set_b=["act=silu"])).dot
    assert fills(dot) == ["same", "changed", "same", *["changed"] * 4, "same"]
    assert "relu -> silu" in dot
    assert "+ squeeze_excite" in dot
    assert "216k -> 241k parameters" in dot


def test_equal_networks_are_one_gray_box() -> None:
    assert fills(draw_difference(resnet_spec.diff("resnet50", "resnet50")).dot) == ["same"]


def test_another_name_of_an_equal_block_is_no_change() -> None:
    dot = draw_difference(resnet_spec.diff("cifar_resnet20", "variants/cifar_resnet20_projection")).dot
    assert fills(dot) == ["same", "changed", "same", "changed", "same"]


def test_names_are_text() -> None:
    name = 'a"];<script>\\N\n&b'
    analysis = resnet_spec.analyze("resnet18", set=["classes=3"])
    picture = draw_difference(compare(resnet_spec.analyze("resnet18"), analysis, (name, name)))
    root = ET.fromstring(render_picture(picture, "svg", str))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert 'a"];<script>\\N\\n&b -> ' in "".join(root.itertext())


@pytest.mark.slow
def test_any_two_networks_can_be_drawn() -> None:
    base = resnet_spec.analyze("resnet18")
    for name in shipped_names():
        if "1202" not in name:
            found = compare(base, resnet_spec.analyze(name))
            assert (set(fills(draw_difference(found).dot)) == {"same"}) == (
                not [part for part in found.parts if part.kind != "renamed"]
            )


def test_the_command_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "d.svg"
    done = CliRunner().invoke(group, ["diff", "resnet50", "resnet101", "-o", str(path)])
    assert done.exit_code == 1
    assert ET.parse(path).getroot().tag.endswith("svg")
    assert CliRunner().invoke(group, ["diff", "resnet50", "resnet101", "-o", "d.txt"]).exit_code == 2
