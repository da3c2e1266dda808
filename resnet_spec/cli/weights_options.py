"""The options of `eval` and `predict` for weights that are named apart from their spec, and how their notes are printed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_spec import compiler
from resnet_spec.cli.common import Decorated, find_target, set_option, show_findings, spec_root_option
from resnet_spec.cli.weights_plan import map_option
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.rendering import MessageFormat

if TYPE_CHECKING:
    from resnet_spec.inference.pairing import Pairing


prepare_option = click.option(
    "--prepare",
    multiple=True,
    metavar="KEY=VALUE",
    help="How images are prepared: resize, crop, interpolation, mean, std.  [repeatable; default: as the weights say]",
)


def weights_options(command: Decorated) -> Decorated:
    """`--weights` and what belongs to it, which the command gets as `find_network` takes it."""
    for option in (
        spec_root_option,
        set_option,
        prepare_option,
        click.option("--classes", metavar="FILE", help="The names of the classes, one a line or a JSON list."),
        map_option,
        click.option(
            "--weights-key", metavar="KEY", help="The part of a checkpoint that holds the weights, or their first names."
        ),
        click.option("--weights", metavar="WEIGHTS", help="Load these weights into the network of SPEC: as for `build`."),
    ):
        command = option(command)
    return command


def find_network(
    spec: str,
    weights: str | None,
    weights_key: str | None,
    weights_map: str | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    classes: str | None,
    prepare: tuple[str, ...],
    message_format: MessageFormat,
) -> Pairing | Path:
    """The network that the arguments name: a spec with weights, or a run or file. Raises ResnetSpecError."""
    from resnet_spec.inference.pairing import refuse_weights_as_spec, require_pair

    if weights is None:
        return require_pair(
            spec,
            weights=None,
            weights_key=weights_key,
            weights_map=weights_map,
            set=sets,
            spec_root=spec_root,
            classes=classes,
            prepare=prepare,
        )
    refuse_weights_as_spec(spec)
    analysis = compiler.analyze(find_target(spec, None, spec_root), sets)
    show_findings(analysis.warnings, message_format)
    return require_pair(
        analysis, weights=weights, weights_key=weights_key, weights_map=weights_map, classes=classes, prepare=prepare
    )


def show_notes(notes: Iterable[str]) -> None:
    """Print notes to stderr, a line each."""
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
