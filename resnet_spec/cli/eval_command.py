"""`resnet-spec eval`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from resnet_spec.cli.common import findings_options, show_findings
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat

if TYPE_CHECKING:
    from resnet_spec.inference.trained import Evaluation


@click.command(
    "eval",
    epilog="""\b
Examples:
  resnet-spec eval runs/a
  resnet-spec eval runs/a/best.safetensors --data cifar10:DIR
  resnet-spec eval runs/a --data folder:DIR --split validation --format json
""",
)
@click.argument("run", metavar="RUN|FILE")
@click.option("--data", metavar="KIND:DIR", help="As for `train`.  [default: what it was trained with]")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=256, show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps")
@click.option("--workers", type=click.IntRange(0), metavar="N", help="Processes that read images.  [default: as needed]")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and count them.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    data: str | None,
    split: Literal["train", "validation", "test"],
    batch_size: int,
    precision: Literal["fp32", "bf16", "fp16"],
    device: str,
    workers: int | None,
    skip_bad: bool,
    style: str,
    message_format: MessageFormat,
) -> None:
    """Evaluate trained weights: loss, top-1, top-5, each class, and who is taken for whom.

    RUN is the folder of a run (its best weights, else the last), or one file of weights that `train` wrote.
    """
    from resnet_spec.inference import trained
    from resnet_spec.training.allocator import keep_memory

    keep_memory()
    try:
        found = trained.evaluate(
            run,
            data,
            split=split,
            device=device,
            batch_size=batch_size,
            workers=workers,
            skip_bad=skip_bad,
            precision=precision,
        )
    except ResnetSpecError as error:
        ctx.exit(show_findings(error.diagnostics, message_format))
    click.echo(_json(found) if style == "json" else _text(found))


def _json(found: Evaluation) -> str:
    scores = found.scores
    return json.dumps(
        {
            "version": 1,
            "network": found.name,
            "data": found.data,
            "split": found.split,
            "images": scores.images,
            "loss": scores.loss,
            "accuracy": scores.accuracy,
            "top5": scores.top5,
            "classes": found.classes,
            "confusion": scores.confusion,
            "skipped": found.skipped,
        },
        indent=2,
    )


def _text(found: Evaluation) -> str:
    from resnet_spec.report.tables import confusion_text, per_class_text, percent_text

    scores = found.scores
    top5 = "" if scores.top5 is None else f"  top-5 {percent_text(scores.top5)}"
    lines = [
        f"{printable(found.name)} on {scores.images:,} {found.split} images of {printable(found.data)}",
        f"accuracy {percent_text(scores.accuracy)}{top5}  loss {scores.loss:.4f}",
        "",
        per_class_text(found.confusion, 50),
        confusion_text(found.confusion),
    ]
    if found.skipped:
        images = "1 image" if len(found.skipped) == 1 else f"{len(found.skipped):,} images"
        lines.append(f"left out, as unreadable: {images}")
        lines += [f"  {printable(name)}: {printable(why)}" for name, why in list(found.skipped.items())[:10]]
    return "\n".join(lines)
