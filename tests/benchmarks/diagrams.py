"""Spec to SVG as a whole process, against torchview: ours, and theirs rendered by the same Graphviz."""

from __future__ import annotations

from tests.benchmarks.measure import compare, process

TORCHVIEW = """
import sys
from torchview import draw_graph
import torch
{make}
drawn = draw_graph(model, input_size=(1, *{size}), device="meta", expand_nested=True)
from pygraphviz import AGraph
sys.stdout.buffer.write(AGraph(string=drawn.visual_graph.source).draw(format="svg", prog="dot"))
"""
TORCHVISION = """
from resnet_spec._system.torchvision_import import import_torchvision
import_torchvision()
from torchvision.models import {name}
with torch.device("meta"):
    model = {name}()
"""
OURS = "import resnet_spec; model = resnet_spec.build({name!r}, device='meta', initialize=False)"


def main() -> None:
    for name, size in (("resnet50", (3, 224, 224)), ("resnet152", (3, 224, 224)), ("cifar_resnet110", (3, 32, 32))):
        make = OURS.format(name=name) if name.startswith("cifar") else TORCHVISION.format(name=name)
        theirs = process("-c", TORCHVIEW.format(make=make, size=size))
        ours = process("-m", "resnet_spec", "draw", name, "-o", "-", "--type", "svg")
        compare(f"whole process, {name} to SVG; torchview", ours, theirs, 3, 20)
