"""The figures of a spec that `figures.json` holds, measured without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import resnet_spec

from .command_line import run

HERE = Path(__file__).parent
SPECS = HERE / "specs"
FIGURES = HERE / "figures.json"
Figures = dict[str, object]


def names() -> list[str]:
    """The frozen networks by the names under which they are shipped; mixins are not networks."""
    found = (path.relative_to(SPECS).with_suffix("").as_posix() for path in SPECS.rglob("*.yaml"))
    return sorted(name for name in found if not name.startswith("mixins/"))


def frozen_path(name: str) -> str:
    """The path of a frozen spec, seen from the root of the repository."""
    return f"tests/compatibility/specs/{name}.yaml"


def figures_of(spec: str) -> Figures:
    """Fingerprint, counts, output, accepted squares (each a piece from least to most) and a hash of the dumped graph."""
    analysis = resnet_spec.analyze(spec)
    accepted = analysis.accepted
    dumped = run("build", spec, "--dump-ir")
    assert dumped.code == 0, dumped.stderr
    return {
        "name": analysis.spec.name,
        "input": list(analysis.input),
        "fingerprint": analysis.fingerprint,
        "params": analysis.total.params,
        "buffers": analysis.total.buffers,
        "macs": analysis.total.macs,
        "output": list(analysis.output),
        "squares": [[piece.least, piece.most] for piece in accepted.squares],
        "squares_alone": [[piece.least, piece.most] for piece in accepted.squares_alone],
        "graph": hashlib.sha256(dumped.stdout.encode()).hexdigest(),
    }
