"""`resnet-spec list`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import click

from resnet_spec.cli.networks import ShippedNetwork, by_family, read_networks
from resnet_spec.diagnostics import printable, suggestion
from resnet_spec.diagnostics.text import ELLIPSIS, beginning, count_text, display_width, pad
from resnet_spec.language.library import library_block_names, shipped_mixins, shipped_names

if TYPE_CHECKING:
    from resnet_spec.ops import Field

Row = dict[str, object]
T = TypeVar("T")
MOST = {"params": "parameters", "macs": "multiply-adds"}
LEAST_COLUMN = 12  # columns of the terminal that a text keeps at least; a column that finds none is left out
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


@click.command(
    "list",
    epilog="""\b
Examples:
  resnet-spec list
  resnet-spec list "resnet*" "regnet_y_*"
  resnet-spec list --family torchvision/efficientnet --sort macs
  resnet-spec list --accepts 32x32 --at-most params=5e6 --at-most macs=1e9
  resnet-spec list --blocks
  resnet-spec list --operations
  resnet-spec list --recipes
  resnet-spec list --format json
""",
)
@click.argument("patterns", nargs=-1, metavar="[NAME...]")
@click.option("--blocks", "what", flag_value="blocks", help="List the library's blocks instead of the shipped specs.")
@click.option("--operations", "what", flag_value="operations", help="List the operations and their fields.")
@click.option("--recipes", "what", flag_value="recipes", help="List the recipes for training.")
@click.option("--mixins", "what", flag_value="mixins", help="List the patches that any network can be extended with.")
@click.option(
    "--family", "families", multiple=True, metavar="NAME", help="Networks of a family or folder, or a pattern.  [repeatable]"
)
@click.option("--accepts", metavar="HxW", help="Networks that accept images of this height and width in pixels.")
@click.option(
    "--at-most", "bounds", multiple=True, metavar="FIGURE=N", help="Networks of at most so many params or macs.  [repeatable]"
)
@click.option("--sort", type=click.Choice(["name", *MOST]), help="Sort by this in one list, instead of by family.")
@click.option("--format", "style", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
def command(
    patterns: tuple[str, ...],
    what: str | None,
    families: tuple[str, ...],
    accepts: str | None,
    bounds: tuple[str, ...],
    sort: str | None,
    style: str,
) -> None:
    """List the shipped networks by family, or the mixins, the blocks of the library, the operations, or the recipes.

    Names and patterns such as "resnet*" select some of them; folders can be left out. The names of networks and blocks can be
    used as SPEC.
    """
    if what is not None:
        if families or accepts or bounds or sort:
            raise click.UsageError(f"--family, --accepts, --at-most and --sort are about networks, not about {what}")
        if style == "markdown":
            raise click.UsageError("--format markdown is for networks")
        rows = {"blocks": _blocks, "operations": _operations, "recipes": _recipes, "mixins": _mixins}[what]()
        key = next(iter(rows[0]))
        rows = _select(rows, patterns, lambda row: str(row[key]), what)
        if style == "json":
            click.echo(json.dumps({"version": 1, what: rows}, indent=2))
        else:
            _print_table(rows)
        return
    networks = _select(read_networks(), patterns, lambda network: network.name, "networks")
    networks = _filter(networks, families, accepts, bounds)
    if sort is not None:
        networks.sort(key=lambda network: (getattr(network, sort), network.name))
    elif style != "markdown":
        networks = [network for _, members in by_family(networks) for network in members]
    if style == "json":
        click.echo(json.dumps({"version": 1, "specs": [_as_json(network) for network in networks]}, indent=2))
    elif style == "markdown":
        click.echo(_as_markdown(networks), nl=False)
    elif not networks:
        click.echo("no network is like that", err=True)
    else:
        _print_networks(networks, grouped=sort is None)


# --- selecting -------------------------------------------------------------------------------------------------------------


def _select(items: Iterable[T], patterns: Sequence[str], name_of: Callable[[T], str], what: str) -> list[T]:
    """The items that a name or a pattern means; all without any. A name also means that of a file, `resnet18.yaml`."""
    items = list(items)
    if not patterns:
        return items
    names = [name_of(item) for item in items]
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if _is_like(name, pattern.removesuffix(".yaml").removeprefix("specs/"))}
        if not found:
            near = suggestion(pattern, [*names, *(name.rpartition("/")[2] for name in names)], most=0)
            message = f"none of the {what} is called `{printable(pattern)}`" + (f"; {near}" if near else "")
            raise click.UsageError(message)
        chosen |= found
    return [item for item, name in zip(items, names, strict=True) if name in chosen]


def _is_like(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2].removeprefix("block:"), pattern)


def _filter(
    networks: list[ShippedNetwork], families: Sequence[str], accepts: str | None, bounds: Sequence[str]
) -> list[ShippedNetwork]:
    if families:
        known = sorted(
            {network.family for network in networks} | {network.name.rpartition("/")[0] for network in networks} - {""}
        )
        for family in families:
            if not any(_is_like(each, family.rstrip("/")) for each in known):
                near = suggestion(family, known, most=0)
                raise click.UsageError(f"there is no family `{printable(family)}`" + (f"; {near}" if near else ""))
        networks = [network for network in networks if any(_is_in(network, family.rstrip("/")) for family in families)]
    if accepts is not None:
        height, width = _parse_image(accepts)
        networks = [network for network in networks if network.accepts_image(height, width)]
    for figure, most in map(_parse_bound, bounds):
        networks = [network for network in networks if getattr(network, figure) <= most]
    return networks


def _is_in(network: ShippedNetwork, family: str) -> bool:
    return _is_like(network.family, family) or network.name.rpartition("/")[0] == family


def _parse_image(text: str) -> tuple[int, int]:
    numbers = re.fullmatch(r"(?:\d{1,2}x)?(\d{1,7})x(\d{1,7})|(\d{1,7})", text.strip().lower())
    if numbers is None:
        raise click.BadParameter("write the height and width of an image in pixels, such as 32x32", param_hint="--accepts")
    height, width, both = numbers.groups()
    return int(height or both), int(width or both)


def _parse_bound(text: str) -> tuple[str, float]:
    figure, _, number = text.partition("=")
    found = re.fullmatch(r"([\d._,]*\d(?:[eE]\+?\d+)?)\s*([kKmMgGbB]?)", number.strip())
    names = {**{key: key for key in MOST}, **{word: key for key, word in MOST.items()}}
    if found is None or figure.strip() not in names:
        raise click.BadParameter("write params or macs and a number, such as params=5e6 or macs=1G", param_hint="--at-most")
    try:
        value = float(found[1].replace(",", "").replace("_", ""))
    except ValueError:
        raise click.BadParameter(f"`{printable(found[1])}` is not a number", param_hint="--at-most") from None
    return names[figure.strip()], value * _UNITS[found[2].lower()]


# --- showing ---------------------------------------------------------------------------------------------------------------


def _as_json(network: ShippedNetwork) -> Row:
    sizes = {"input": _show(network.input), "accepts": network.accepts, "output": list(network.output)}
    counts = {"parameters": network.params, "multiply-adds": network.macs}
    published = {network.weights_kind: network.weights, "top1": network.top1} if network.weights else None
    about = {"about": network.about, "recipe": network.recipe or None, "weights": published}
    return {"family": network.family, "name": network.name, **counts, **sizes, **about}


def _show(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _accepts(network: ShippedNetwork) -> str:
    """The accepted sizes in a few columns: `1+`, `193-416`, `16+ by 16`, `219-326 square`."""
    text = network.accepts.removeprefix("height and width of ").replace(" or more", "+").replace(" to ", "-")
    text = text.replace(", multiples of ", " by ")
    return f"{text.removeprefix('squares of ')} square" if text.startswith("squares of ") else text


def _print_networks(networks: Sequence[ShippedNetwork], grouped: bool) -> None:
    """One line for each network, in groups below the name of their family."""
    rows: list[Row] = []
    heads: dict[int, str] = {}
    weighed = any(network.top1 is not None for network in networks)
    for network in networks:
        if grouped and network.family not in heads.values():
            heads[len(rows)] = network.family
        top1: Row = {"top-1": "" if network.top1 is None else f"{network.top1:.2f}"} if weighed else {}
        counts: Row = {"parameters": network.params, "multiply-adds": network.macs}
        sizes: Row = {"accepts": _accepts(network), **top1, "input": _show(network.input)}
        rows.append({"name": ("  " if grouped else "") + network.short_name, **counts, **sizes, "about": network.about})
    _print_table(rows, heads)


def _print_table(rows: Sequence[Row], heads: dict[int, str] | None = None) -> None:
    """Print rows below their keys, as wide as the terminal: the widest texts are cut. `heads` are lines before rows."""
    names = list(rows[0])
    numbers = [isinstance(value, int) for value in rows[0].values()]
    lines = [
        names,
        *([f"{value:,}" if isinstance(value, int) else printable(str(value)) for value in row.values()] for row in rows),
    ]
    widths = _fit([max(display_width(line[column]) for line in lines) for column in range(len(names))], numbers)
    shown = zip(lines, [None, *(heads.get(number) if heads else None for number in range(len(rows)))], strict=True)
    for line, head in shown:
        if head is not None:
            click.echo(head)
        cells = [
            pad(_cut(cell, width), width, right=number)
            for cell, width, number in zip(line, widths, numbers, strict=True)
            if width
        ]
        click.echo("  ".join(cells).rstrip())


def _fit(widths: list[int], numbers: Sequence[bool]) -> list[int]:
    """Make texts narrower until a line fits the terminal; where that is not enough, the last columns are left out (0)."""
    most = _columns()
    if not most:
        return widths
    texts = [column for column in range(1, len(widths)) if not numbers[column]]
    found = [min(width, LEAST_COLUMN) if column in texts else width for column, width in enumerate(widths)]
    while texts and _line(found) > most:
        found[texts.pop()] = 0
    texts.sort(key=lambda column: widths[column])
    for number, column in enumerate(texts):  # what is left goes to those first that need little
        found[column] += min(widths[column] - found[column], max(0, most - _line(found)) // (len(texts) - number))
    return found


def _line(widths: Sequence[int]) -> int:
    """The length of a line of columns, with two spaces between them."""
    return sum(width + 2 for width in widths if width) - 2


def _columns() -> int:
    """The width of the terminal in columns; 0 where there is none, and nothing is cut."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except (OSError, ValueError):
        return 0


def _cut(text: str, width: int) -> str:
    return text if display_width(text) <= width else beginning(text, width - 1).rstrip() + ELLIPSIS


_PAGE = """\
# Networks

`make networks` writes this page, with `resnet-spec list --format markdown`: {count}. The folder of a name can be left out where
only one network is called so. Parameters and multiply-adds are those of one image of the input size; the accepted sizes are
heights and widths of images in pixels; top-1 is the published accuracy of the weights on ImageNet, in percent.
"""
_HEADS = ("network", "about", "input", "parameters", "multiply-adds", "accepts", "weights", "top-1")


def _as_markdown(networks: Sequence[ShippedNetwork]) -> str:
    """The page of networks, a table for each family."""
    rule = ["---:" if head in ("parameters", "multiply-adds", "top-1") else "---" for head in _HEADS]
    parts = [_PAGE.format(count=count_text(len(networks), "network"))]
    for family, members in by_family(networks):
        rows = [_HEADS, rule, *map(_markdown_cells, members)]
        parts.append("\n".join([f"\n## {family}\n", *(f"| {' | '.join(row)} |" for row in rows), ""]))
    return "".join(parts)


def _markdown_cells(network: ShippedNetwork) -> list[str]:
    top1 = "" if network.top1 is None else f"{network.top1:.3f}".rstrip("0").rstrip(".")
    accepts = network.accepts.removeprefix("height and width of ")
    figures = [_show(network.input), f"{network.params:,}", f"{network.macs:,}", accepts]
    weights = f"`{network.weights_kind}:{network.weights}`" if network.weights else ""
    return [f"`{network.name}`", *(printable(text).replace("|", "\\|") for text in (network.about, *figures, weights, top1))]


# --- what is listed besides networks -----------------------------------------------------------------------------------------


def _mixins() -> list[Row]:
    from resnet_spec import compiler
    from resnet_spec.language.nodes import MappingNode, to_data
    from resnet_spec.language.reader import parse

    rows: list[Row] = []
    for name in shipped_mixins():
        node, _ = parse(compiler.find(name).source)
        about = node.get("about") if isinstance(node, MappingNode) else None
        rows.append({"mixin": name, "about": "" if about is None else str(to_data(about))})
    return rows


def _blocks() -> list[Row]:
    from resnet_spec.language.spec import ArgumentValue, ScalarNode, library

    def written(value: ArgumentValue) -> str:
        return value.text if isinstance(value, ScalarNode) else "[...]"

    rows: list[Row] = []
    for name in library_block_names():
        block = library(name)
        assert block is not None
        arguments = [*block.args, *(f"{key}={written(each.value)}" for key, each in block.defaults.items())]
        rows.append({"block": f"block:{name}", "arguments": ", ".join(arguments), "about": block.about})
    return rows


def _recipes() -> list[Row]:
    from resnet_spec.language.nodes import to_data
    from resnet_spec.training.recipe import read_recipe

    rows: list[Row] = []
    for name in shipped_names("recipe"):
        recipe = read_recipe(name)
        length = f"{recipe.epochs} epochs" if recipe.epochs is not None else f"{recipe.iterations:,} iterations"
        facts = {"length": length, "batch": recipe.batch_size, "optimizer": recipe.optimizer, "lr": f"{recipe.lr:g}"}
        texts = {key: str(to_data(node)) for key in ("about", "accuracy") if (node := recipe.root.get(key)) is not None}
        rows.append({"recipe": name, **facts, "about": texts.get("about", ""), "expect": texts.get("accuracy", "")})
    return rows


def _operations() -> list[Row]:
    from resnet_spec.ops import OPERATIONS, fields_of

    return [
        {"operation": name, "fields": ", ".join(map(_field, fields_of(operation).values())), "about": (operation.__doc__ or "")}
        for name, operation in OPERATIONS.items()
    ]


def _field(field: Field) -> str:
    if field.required:
        return field.name
    default = field.default[0] if isinstance(field.default, tuple) and len(set(field.default)) == 1 else field.default
    return f"{field.name}={field.default_doc or str(default).lower()}"
