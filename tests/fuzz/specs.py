"""Specs: every shipped one, those of the zoo and those of the golden mistakes, changed, and run through `check`.

What is accepted is built on torch's meta device: its shapes, parameters and multiply-adds there are the independent source.
"""

from __future__ import annotations

import json
import os
import shutil
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import yaml

import resnet_spec
from resnet_spec import compiler
from resnet_spec.analysis.shapes import infer
from resnet_spec.diagnostics import SpecError
from resnet_spec.diagnostics.rendering import MESSAGE_FORMATS
from resnet_spec.language.library import shipped_root
from tests.compatibility.command_line import Done, inside, run
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import dump, mutate, nudge, places, scramble
from tests.measure import REFUSALS, measure

TESTS = Path(__file__).parent.parent
MOST_COMPARED = 150  # operations of a network that is built to be compared: more take longer than a case should
BIG = 10**10  # numbers in the largest value of a network that is compared


@dataclass(frozen=True, slots=True)
class SpecCase:
    """A text, and how it is checked."""

    text: bytes
    message_format: str
    sets: tuple[str, ...]
    other_size: tuple[int, int]


class Specs:
    """The target."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        self.folder = folder
        shutil.copytree(TESTS / "invalid" / "parts", folder / "parts")
        measure(resnet_spec.build("cifar_resnet20", device="meta"), (3, 32, 32))  # torch is imported and warm before a case

    @cached_property
    def texts(self) -> list[bytes]:
        """The specs that cases begin from."""
        right = [*sorted(shipped_root().rglob("*.yaml")), *sorted((TESTS / "networks" / "zoo").glob("*.yaml"))]
        wrong = sorted((TESTS / "invalid").glob("*.yaml"))
        return [path.read_bytes() for path in (*right * 4, *wrong)]

    @cached_property
    def documents(self) -> list[Any]:
        """Those that YAML can read, as data."""
        found = []
        for text in self.texts:
            try:
                document = yaml.safe_load(text)
                list(places(document))
            except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):  # the last of an alias inside its own anchor
                continue
            if isinstance(document, dict):
                document.pop("expect", None)
                found.append(document)
        return found

    def draw(self, chance: Random) -> SpecCase:
        """A document or a text with one to four changes."""
        changes = chance.choice((1, 1, 1, 2, 2, 4))
        kind = chance.random()
        if kind < 0.75:
            text = _mutated(self.documents, chance, changes, gentle=kind < 0.4)
        else:
            text = chance.choice(self.texts)
            for _ in range(changes):
                text = scramble(text, self.texts, chance)
        sets = (chance.choice(("stages.layer1.depth=2", "classes=", "input=3x33x47", "norm={op: group_norm, num_groups: 2}")),)
        size = (chance.choice((1, 2, 7, 31, 32, 33, 97, 224)), chance.choice((1, 5, 32, 64, 225)))
        return SpecCase(text, chance.choice(MESSAGE_FORMATS), sets if chance.random() < 0.1 else (), size)

    def check(self, case: SpecCase) -> Outcome:
        """`check` ends well, and what it accepts is right."""
        path = self.folder / "case.yaml"
        path.write_bytes(case.text)
        patches = [part for text in case.sets for part in ("--set", text)]
        with inside(self.folder):
            done = run("check", "case.yaml", "--message-format", case.message_format, *patches)
            require_well_ended(done, case.message_format, (0, 1))
            if done.code:
                return Outcome(accepted=False)
            if not case.sets and compiler.check_patch(compiler.find("case.yaml")) is not None:
                return Outcome(accepted=True)  # a patch alone has no network to compare
            return Outcome(accepted=True, compared=compare(resnet_spec.analyze("case.yaml", set=case.sets), case.other_size))

    def write(self, case: SpecCase, path: Path) -> None:
        """The text as a file, with how it was checked in the last line of another one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.yaml").write_bytes(case.text)
        how = f"--message-format {case.message_format} {' '.join(f'--set {text!r}' for text in case.sets)}"
        path.with_name(f"{path.name}.how.txt").write_text(f"{how}\n", encoding="utf-8")


def _mutated(documents: list[Any], chance: Random, changes: int, gentle: bool) -> bytes:
    document = deepcopy(chance.choice(documents))
    for _ in range(changes):
        if gentle:
            nudge(document, chance)
        else:
            mutate(document, documents, chance)
    return dump(document)


def require_well_ended(done: Done, message_format: str, codes: tuple[int, ...]) -> None:
    """No traceback, an exit code of `codes`, output that says why, in the form that was asked for, safe for a terminal."""
    shown = done.stdout + done.stderr
    if done.code not in codes or "Traceback" in shown or "bug in resnet-spec" in shown:
        raise Wrong(f"{shown[-3000:]}\nexit code {done.code}")
    if done.code and not shown.strip():
        raise Wrong(f"exit code {done.code} without a word")
    if any(not (c.isprintable() or c == "\n") for c in shown):
        raise Wrong(f"{shown!r}\na control character in the output")
    if message_format in ("json", "sarif") and done.stdout:
        json.loads(done.stdout)


def compare(analysis: resnet_spec.Analysis, other: tuple[int, int]) -> bool:
    """Hold an analysis to torch's own module; False where it is too large for that."""
    size = analysis.input
    largest = max(_count(shape) for shape in (size, *analysis.shapes))
    if len(analysis.graph.nodes) > MOST_COMPARED or largest > BIG or analysis.total.params > BIG:
        return False
    network = resnet_spec.build(analysis, device="meta", initialize=False).eval()
    network.training = True  # of itself alone: it also runs what it has in training only
    found = measure(network, size, batch=2)
    static = {
        node.name: shape
        for node, shape in zip(analysis.graph.nodes, analysis.shapes, strict=True)
        if not node.op.own_tensor  # a parameter, and no module
    }
    for name, shape in static.items():
        if found.layers.get(name) != shape:
            raise Wrong(f"{name}: the shape is {shape} here, and {found.layers.get(name)} in torch")
    total = analysis.total
    if (total.params, total.buffers, total.macs) != (found.params, found.buffers, found.macs):
        raise Wrong(f"{total} here, and {found.params}, {found.buffers}, {found.macs} in torch")
    _compare_size(analysis, network, other)
    return True


def _compare_size(analysis: resnet_spec.Analysis, network: Any, other: tuple[int, int]) -> None:
    """The same at another size: the set of accepted sizes, the inference of shapes, and torch agree."""
    size = (analysis.input[0], *other)
    try:
        output = (size, *infer(analysis.graph, size))[analysis.graph.output + 1]
    except SpecError:
        output = None
    if (other in analysis.accepted) != (output is not None):
        raise Wrong(f"size {other}: {other in analysis.accepted} in the accepted sizes, and shapes infer {output}")
    if output is None or _count(size) > BIG:
        return
    try:
        found = measure(network, size, batch=2).output
    except REFUSALS as error:
        raise Wrong(f"size {other} is accepted here, and torch refuses it: {error}") from None
    if found != output:
        raise Wrong(f"size {other}: the output is {output} here, and {found} in torch")


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
