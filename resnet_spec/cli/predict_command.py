"""`resnet-spec predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from resnet_spec._system.allocator import keep_memory
from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.cli.common import findings_options, show_error
from resnet_spec.cli.weights_options import find_network, show_notes, weights_options
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import count_text, display_width, pad


@click.command(
    "predict",
    epilog="""\b
Examples:
  resnet-spec predict runs/a photograph.jpg
  resnet-spec predict runs/a/best.safetensors folder/ --top 1 --format json
  resnet-spec predict runs/a folder/ -o predictions.csv
  resnet-spec predict runs/a folder/ --explain explained/
  resnet-spec predict resnet50 --weights resnet50.pth photograph.jpg
""",
)
@click.argument("run", metavar="RUN|FILE|SPEC")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@weights_options
@click.option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="K",
    help="How many of the most probable classes to show.",
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE.csv|json",
    help="Write the probability of each class of each image into a file.",
)
@click.option(
    "--explain",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Write pictures of what in each image speaks for its prediction (Grad-CAM).",
)
@click.option("--layer", metavar="NAME", help="The layer to explain.  [default: the last one with maps]")
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    images: tuple[str, ...],
    weights: str | None,
    weights_key: str | None,
    weights_map: str | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    classes: str | None,
    prepare: tuple[str, ...],
    top: int,
    batch_size: int,
    precision: Literal["fp32", "bf16", "fp16"],
    device: str,
    style: str,
    output: str | None,
    explain: str | None,
    layer: str | None,
    message_format: MessageFormat,
) -> None:
    """Predict the classes of images with trained weights. IMAGE is a file, or a folder of images.

    RUN is the folder of a run (its best weights, else the last), or a file of weights that `train` wrote. With --weights, the
    network is that of SPEC, and the weights are all that `build --weights` reads. The exit code is 1 if an image cannot be
    read; the others are still predicted.
    """
    form = None if output is None else Path(output).suffix.lower()
    if form not in (None, ".csv", ".json"):
        raise click.UsageError(f"the name of the output ends in .csv or .json, not in {printable(form or '')!r}")
    if layer is not None and explain is None:
        raise click.UsageError("--layer chooses the layer of an explanation: use it with --explain DIR")
    keep_memory()
    try:
        require_packages("predicting", *NETWORKS)
        from resnet_spec.inference.predict import Predictor, rank, require_explaining
        from resnet_spec.inference.write_predictions import write_predictions

        explaining = require_explaining(explain, layer)
        named = find_network(run, weights, weights_key, weights_map, sets, spec_root, classes, prepare, message_format)
        predictor = Predictor(named, images, device=device, batch_size=batch_size, precision=precision, explaining=explaining)
        show_notes(predictor.notes)
        if output is not None:
            count, problems = write_predictions(Path(output), predictor)
        else:
            predictions = [rank(each, predictor.classes, top) for each in predictor]
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    if output is not None:
        for name, why in problems:
            _say_unreadable(name, why)
        click.echo(f"wrote {printable(output)}: {count_text(count, 'image')}")
        ctx.exit(1 if problems else 0)
    if style == "json":
        rows = [
            {"image": each.image, "classes": [{"name": name, "probability": value} for name, value in each.classes]}
            | ({"problem": each.problem} if each.problem else {})
            for each in predictions
        ]
        click.echo(json.dumps({"version": 1, "predictions": rows}, indent=2))
    else:
        width = max(display_width(printable(each.image)) for each in predictions)
        for each in predictions:
            if each.problem:
                _say_unreadable(each.image, each.problem)
                continue
            shares = "  ".join(f"{printable(name)} {100 * value:.1f}%" for name, value in each.classes)
            click.echo(f"{pad(printable(each.image), width)}  {shares}")
    ctx.exit(1 if any(each.problem for each in predictions) else 0)


def _say_unreadable(name: str, why: str) -> None:
    click.echo(f"error: cannot read {printable(name)}: {printable(why)}", err=True)
