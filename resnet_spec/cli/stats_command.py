"""`resnet-spec stats`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from resnet_spec._system.packages import require_packages
from resnet_spec.cli.common import findings_options, show_error
from resnet_spec.cli.progress import CountLine
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import display_width, pad

if TYPE_CHECKING:
    from resnet_spec.inference.statistics import DataSummary

MOST_CLASSES = 30


@click.command(
    "stats",
    epilog="""\b
Examples:
  resnet-spec stats cifar10:DIR
  resnet-spec stats folder:DIR --format json
""",
)
@click.argument("data", metavar="KIND:DIR")
@click.option("--input", "size", default="3x32x32", show_default=True, metavar="CxHxW", help="The size of synthetic images.")
@click.option("--skip-bad", is_flag=True, help="Skip images that cannot be read.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@findings_options
@click.pass_context
def command(ctx: click.Context, data: str, size: str, skip_bad: bool, style: str, message_format: MessageFormat) -> None:
    """Describe a data set: the images of each class and split, and the mean and standard deviation of each channel.

    Mean and standard deviation are those of the training images (of another split where there are none), for pixel values in
    0 to 1, as used in recipes.
    """
    count = CountLine()
    try:
        require_packages("reading images", "numpy", "PIL", "torch")
        from resnet_spec.inference.statistics import summarize_data

        summary = summarize_data(data, input=size, skip_bad=skip_bad, progress=count.show)
        count.clear()
    except ResnetSpecError as error:
        count.clear()
        ctx.exit(show_error(error, message_format))
    click.echo(_json(data, summary) if style == "json" else _text(data, summary))


def _json(data: str, summary: DataSummary) -> str:
    return json.dumps(
        {
            "version": 1,
            "data": data,
            "classes": summary.data.classes,
            "images": summary.counts,
            "size": summary.data.size,
            "channels": summary.data.channels,
            "mean": summary.mean,
            "std": summary.std,
            "measured": summary.measured,
            "notes": summary.data.notes,
        },
        indent=2,
    )


def _text(data: str, summary: DataSummary) -> str:
    classes, size, channels = summary.data.classes, summary.data.size, summary.data.channels
    shape = "images in the sizes of their files" if size is None else f"images of {channels or 'several'}x{size[0]}x{size[1]}"
    lines = [f"{printable(data)}: {len(classes)} classes, {shape}"]
    for split, counts in summary.counts.items():
        least, most = min(counts), max(counts)
        each = f"{least:,} of each class" if least == most else f"{least:,} to {most:,} of a class"
        lines.append(f"{split:<11} {sum(counts):>9,} images, {each}")
    if summary.measured != "train":
        lines.append(f"mean and std are of the {summary.measured} images, since there are no training images")
    lines.append(f"mean: [{', '.join(f'{value:.4f}' for value in summary.mean)}]")
    lines.append(f"std:  [{', '.join(f'{value:.4f}' for value in summary.std)}]")
    names = [printable(name) for name in classes[:MOST_CLASSES]]
    width = max(map(display_width, names))
    lines += ["", pad("class", width) + "".join(f"  {split:>10}" for split in summary.counts)]
    for number, name in enumerate(names):
        lines.append(pad(name, width) + "".join(f"  {counts[number]:>10,}" for counts in summary.counts.values()))
    if len(classes) > MOST_CLASSES:
        lines.append(f"and {len(classes) - MOST_CLASSES:,} more")
    return "\n".join([*lines, *(f"note: {printable(note)}" for note in summary.data.notes)])
