"""`resnet-spec eval`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Literal

import click

from resnet_spec._system.allocator import keep_memory
from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.cli.common import findings_options, show_error
from resnet_spec.cli.weights_options import find_network, show_notes, weights_options
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import count_text

if TYPE_CHECKING:
    from resnet_spec.inference.evaluate import Evaluation


@click.command(
    "eval",
    epilog="""\b
Examples:
  resnet-spec eval runs/a
  resnet-spec eval runs/a/best.safetensors --data cifar10:DIR
  resnet-spec eval runs/a --data folder:DIR --split validation --format json
  resnet-spec eval resnet50 --weights resnet50.pth --data imagenet:DIR
""",
)
@click.argument("run", metavar="RUN|FILE|SPEC")
@weights_options
@click.option("--data", metavar="KIND:DIR", help="As for `train`.  [default: the data that it was trained with]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    help="Which images.  [default: test; all of a folder that is not the run's and has no splits]",
)
@click.option("--batch-size", type=click.IntRange(1), default=256, show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps")
@click.option("--workers", type=click.IntRange(0, 1024), metavar="N", help="Processes that read images.  [default: as needed]")
@click.option("--skip-bad", is_flag=True, help="Skip images that cannot be read, and count them.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    weights: str | None,
    weights_key: str | None,
    weights_map: str | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    classes: str | None,
    prepare: tuple[str, ...],
    data: str | None,
    split: Literal["train", "validation", "test", "all"] | None,
    batch_size: int,
    precision: Literal["fp32", "bf16", "fp16"],
    device: str,
    workers: int | None,
    skip_bad: bool,
    style: str,
    message_format: MessageFormat,
) -> None:
    """Evaluate trained weights: loss, top-1 and top-5 accuracy, scores of each class, and the confusion matrix.

    RUN is the folder of a run (its best weights, else the last), or a file of weights that `train` wrote. With --weights, the
    network is that of SPEC, and the weights are all that `build --weights` reads.
    """
    keep_memory()
    try:
        require_packages("evaluating a network", *NETWORKS)
        from resnet_spec.inference.evaluate import evaluate

        evaluation = evaluate(
            find_network(run, weights, weights_key, weights_map, sets, spec_root, classes, prepare, message_format),
            data,
            split=split,
            device=device,
            batch_size=batch_size,
            workers=workers,
            skip_bad=skip_bad,
            precision=precision,
        )
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    show_notes(evaluation.weights_notes)
    click.echo(_json(evaluation) if style == "json" else _text(evaluation))


def _json(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    return json.dumps(
        {
            "version": 1,
            "network": evaluation.name,
            "data": evaluation.data,
            "split": evaluation.split,
            "images": scores.images,
            "loss": scores.loss,
            "accuracy": scores.accuracy,
            "top5": scores.top5,
            "classes": evaluation.classes,
            "confusion": scores.confusion,
            "skipped": evaluation.skipped,
            **({"available": evaluation.available, "notes": evaluation.notes} if evaluation.notes else {}),
            **({"weights_notes": evaluation.weights_notes} if evaluation.weights_notes else {}),
            "balanced_accuracy": _number(scores.balanced_accuracy),
            "macro_f1": _number(scores.macro_f1),
            "calibration_error": _number(scores.calibration_error),
            "reliability": scores.reliability.rows(),
        },
        indent=2,
    )


def _number(value: float) -> float | None:
    """A figure; None if it is undefined."""
    return None if math.isnan(value) else value


def _text(evaluation: Evaluation) -> str:
    from resnet_spec.report.tables import confusion_text, per_class_text, percent_text

    scores = evaluation.scores
    top5 = "" if scores.top5 is None else f"  top-5 {percent_text(scores.top5)}"
    split = "" if evaluation.split == "all" else f"{evaluation.split} "
    notes = "".join(f"; {printable(note)}" for note in evaluation.notes)
    lines = [
        f"{printable(evaluation.name)} on {scores.images:,} {split}images of {printable(evaluation.data)}",
        f"scored {scores.images:,} of {count_text(evaluation.available, 'image')}" + notes,
        f"accuracy {percent_text(scores.accuracy)}{top5}  loss {scores.loss:.4f}",
        f"balanced accuracy {percent_text(scores.balanced_accuracy)}  macro F1 {percent_text(scores.macro_f1)}"
        f"  calibration error {percent_text(scores.calibration_error)}",
        "",
        per_class_text(evaluation.confusion, 50),
        confusion_text(evaluation.confusion),
    ]
    if evaluation.skipped:
        lines.append(f"left out because they cannot be read: {count_text(len(evaluation.skipped), 'image')}")
        lines += [f"  {printable(name)}: {printable(why)}" for name, why in list(evaluation.skipped.items())[:10]]
    return "\n".join(lines)
