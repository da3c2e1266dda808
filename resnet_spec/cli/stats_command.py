"""`resnet-spec stats`."""

from __future__ import annotations

import json

import click

from resnet_spec import compiler as pipeline
from resnet_spec.cli.common import findings_options, show_findings
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat

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
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@findings_options
@click.pass_context
def command(ctx: click.Context, data: str, size: str, skip_bad: bool, style: str, message_format: MessageFormat) -> None:
    """Open a data set and say what is in it: images of each class and split, and mean and deviation of each channel.

    Mean and deviation are those of the training images, of values in 0 to 1, as recipes take them.
    """
    from resnet_spec.inference import trained

    try:
        found = trained.statistics(data, input=pipeline.parse_size(size), skip_bad=skip_bad)
    except ResnetSpecError as error:
        ctx.exit(show_findings(error.diagnostics, message_format))
    if style == "json":
        click.echo(
            json.dumps(
                {
                    "version": 1,
                    "data": data,
                    "classes": found.data.classes,
                    "images": found.counts,
                    "size": found.data.size,
                    "channels": found.data.channels,
                    "mean": found.mean,
                    "std": found.std,
                    "notes": found.data.notes,
                },
                indent=2,
            )
        )
        return
    shape = "images of the sizes their files have"
    if found.data.size is not None:
        shape = f"images of {found.data.channels or 'several'}x{found.data.size[0]}x{found.data.size[1]}"
    click.echo(f"{printable(data)}: {len(found.data.classes)} classes, {shape}")
    for name, counts in found.counts.items():
        click.echo(f"{name:<11} {sum(counts):>9,} images, {min(counts):,} to {max(counts):,} of a class")
    click.echo(f"mean: [{', '.join(f'{value:.4f}' for value in found.mean)}]")
    click.echo(f"std:  [{', '.join(f'{value:.4f}' for value in found.std)}]")
    width = max(len(printable(name)) for name in found.data.classes[:MOST_CLASSES])
    click.echo(f"\n{'class':<{width}}" + "".join(f"  {name:>10}" for name in found.counts))
    for number, name in enumerate(found.data.classes[:MOST_CLASSES]):
        click.echo(f"{printable(name):<{width}}" + "".join(f"  {counts[number]:>10,}" for counts in found.counts.values()))
    if len(found.data.classes) > MOST_CLASSES:
        click.echo(f"and {len(found.data.classes) - MOST_CLASSES:,} more")
    for note in found.data.notes:
        click.echo(f"note: {printable(note)}")
