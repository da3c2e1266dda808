"""Contradictions between the values of a recipe, which its schema cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.language.editing import replace_value, set_path
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.nodes import MappingNode, ScalarNode
from resnet_spec.language.recipe_words import misnamed_arguments
from resnet_spec.training.recipe.model import Recipe

MOST_ARGUMENT = 1e30  # of an optimizer; 32-bit numbers end at 3.4e38
LEAST_RATIO = 0.001


def find_contradictions(recipe: Recipe) -> Iterator[Diagnostic]:
    """A finding for each contradiction, at its place."""
    yield from _length(recipe)
    yield from _optimizer(recipe)
    yield from _batch(recipe)
    yield from _splits(recipe)
    yield from _augment(recipe)
    yield from _levels(recipe)
    if isinstance(recipe.std, tuple) and not all(value > 0 for value in recipe.std):
        help = "to divide by nothing, write 1, or `std: none`"
        yield Diagnostic("recipe-normalize", "a standard deviation is above 0", recipe.place("normalize", "std"), help=help)


def _levels(recipe: Recipe) -> Iterator[Diagnostic]:
    if isinstance(recipe.levels, tuple) and recipe.levels[0] >= recipe.levels[1]:
        least, most = recipe.levels
        swapped = f"write the smaller value first: `levels: [{most:g}, {least:g}]`"
        message = "the first of the levels, which becomes black, is not below the second"
        help = swapped if most < least else "for example `levels: data`"
        yield Diagnostic("recipe-levels", message, recipe.place("levels"), help=help)


def find_unmeasurable(recipe: Recipe) -> Iterator[Diagnostic]:
    """A finding where the recipe depends on a figure that it makes meaningless.

    Of mixed images, a part belongs to another class, so their training error stays high however well a network has learned.
    """
    if recipe.warmup is not None and recipe.warmup.until is not None and recipe.augment.mixes:
        mixing = " and ".join(f"`{name}`" for name in ("mixup", "cutmix") if getattr(recipe.augment, name))
        message = f"`until_train_error` needs the training error, which images mixed by {mixing} do not have"
        help = "set the `length` of the warm-up alone: `until_train_error: null`"
        yield Diagnostic("recipe-warmup", message, recipe.place("warmup", "until_train_error"), help=help)


def _length(recipe: Recipe) -> Iterator[Diagnostic]:
    if recipe.epochs is not None and recipe.iterations is not None:
        places = {word: recipe.place(word) for word in ("epochs", "iterations")}
        own = [word for word, place in places.items() if place.source is recipe.root.span.source]
        help = "remove one of them"
        if len(own) == 1:
            other = "iterations" if own == ["epochs"] else "epochs"
            help = f"delete the inherited one, of {places[other]}: `{other}: null`"
        message = "`epochs` and `iterations` both set the length of the run"
        yield Diagnostic("recipe-length", message, places[own[-1] if own else "epochs"], help=help)
    if recipe.epochs is None and recipe.iterations is None:
        message = "the recipe does not set the length of the run"
        help = "write `epochs: 30`"
        fixes = propose(help, set_path(recipe.root.span.source, ("epochs",), "30"))
        yield Diagnostic("recipe-length", message, recipe.root.span, help=help, fixes=fixes)


def _optimizer(recipe: Recipe) -> Iterator[Diagnostic]:
    node = recipe.root.get("optimizer")
    for key, name, meant, fixes in misnamed_arguments(node) if isinstance(node, MappingNode) else ():
        message, help = f"`{name}` of the optimizer is called `{meant}`", f"did you mean `{meant}`?"
        yield Diagnostic("recipe-optimizer", message, key, help=help, fixes=fixes)
    lr = recipe.optimizer_arguments.get("lr")
    if not recipe.optimizer:
        help = "write one: `optimizer: {op: SGD, lr: 0.1}`"
        yield Diagnostic("recipe-optimizer", "the recipe has no optimizer", recipe.root.span, help=help)
    elif isinstance(lr, bool) or not isinstance(lr, int | float):
        usual = {"sgd": ("SGD", 0.1), "adam": ("Adam", 0.001), "adamw": ("AdamW", 0.001)}
        op, rate = usual.get(recipe.optimizer.lower(), (recipe.optimizer, 0.01))
        help = f"write it in the optimizer: `optimizer: {{op: {op}, lr: {rate}}}`"
        place = recipe.place("optimizer", "lr")
        fixes = () if "lr" in recipe.optimizer_arguments else _add_rate(recipe, f"{{op: {op}, lr: {rate}}}", str(rate), help)
        message = "the optimizer has no learning rate that is a number"
        yield Diagnostic("recipe-optimizer", message, place, help=help, fixes=fixes)
    for name, value in recipe.optimizer_arguments.items():
        if any(abs(number) > MOST_ARGUMENT for number in _numbers(value)):
            message = f"`{name}` of the optimizer is beyond what 32-bit numbers can be multiplied with"
            help = f"write a number from -{MOST_ARGUMENT:g} to {MOST_ARGUMENT:g}"
            yield Diagnostic("recipe-optimizer", message, recipe.place("optimizer", name), help=help)


def _add_rate(recipe: Recipe, whole: str, rate: str, title: str) -> Fixes:
    """The fix that gives an optimizer a learning rate."""
    node, source = recipe.root.get("optimizer"), recipe.root.span.source
    if isinstance(node, ScalarNode):
        return propose(title, replace_value(node, whole))
    return propose(title, set_path(source, ("optimizer", "lr"), rate))


def _numbers(value: object) -> Iterator[int | float]:
    """The numbers of an argument."""
    match value:
        case bool():
            return
        case int() | float():
            yield value
        case tuple() | list():
            for each in value:
                yield from _numbers(each)


def _batch(recipe: Recipe) -> Iterator[Diagnostic]:
    if recipe.accumulate > recipe.batch_size:
        message = f"a batch of {recipe.batch_size} images cannot be cut into {recipe.accumulate} parts"
        help = f"use at most {recipe.batch_size} parts, or a larger `batch_size`"
        yield Diagnostic("recipe-batch", message, recipe.place("accumulate"), help=help)
    if recipe.compile and recipe.segments:
        message = "`torch.compile` cannot compile a network that runs in segments"
        yield Diagnostic("recipe-segments", message, recipe.place("segments"), help="remove one of them: `compile: null`")


def _splits(recipe: Recipe) -> Iterator[Diagnostic]:
    if sum(recipe.split) >= 1.0:
        message = "`validation` and `test` leave nothing to train on"
        yield Diagnostic("recipe-split", message, recipe.place("split"), help="their sum must be less than 1")
    if recipe.hold_out >= 1.0:
        help = "write less than 1, such as 0.1"
        yield Diagnostic("recipe-split", "`hold_out` leaves nothing to train on", recipe.place("hold_out"), help=help)


def _augment(recipe: Recipe) -> Iterator[Diagnostic]:
    if recipe.augment.rand_augment and recipe.augment.trivial_augment:
        message = "`rand_augment` and `trivial_augment_wide` cannot be combined"
        place = recipe.place("augment", "trivial_augment_wide")
        yield Diagnostic("recipe-augment", message, place, help="remove one of them")
    if recipe.augment.resized_crop and recipe.augment.crop is not None:
        message = "`random_resized_crop` and `random_crop` cannot be combined"
        yield Diagnostic("recipe-augment", message, recipe.place("augment", "random_crop"), help="remove one of them")
    padding = recipe.root.get("augment")
    for key in ("random_crop", "padding"):
        padding = padding.get(key) if isinstance(padding, MappingNode) else None
    if isinstance(padding, ScalarNode) and isinstance(padding.value, float) and padding.value > 1 and padding.value % 1:
        message = "`padding` of `random_crop` is a number of pixels, or below 1 a fraction of the size"
        place = recipe.place("augment", "random_crop", "padding")
        yield Diagnostic("recipe-augment", message, place, help=f"write `padding: {round(padding.value)}`, or `padding: 0.125`")
    yield from _ranges(recipe)


def _ranges(recipe: Recipe) -> Iterator[Diagnostic]:
    """Ranges whose ends are in the wrong order, and aspect ratios that no rectangle has."""
    augment = recipe.augment
    least, most, narrow, wide = augment.resized_crop or (0.0, 1.0, 1.0, 1.0)
    for (first, last), path in (
        ((least, most), ("random_resized_crop", "scale")),
        ((narrow, wide), ("random_resized_crop", "ratio")),
        (augment.erasing_scale, ("random_erasing", "scale")),
    ):
        if first > last:
            help = f"write the smaller value first: `{path[1]}: [{last:g}, {first:g}]`"
            message = f"`{'.'.join(path)}` ends at {last:g}, below its start of {first:g}"
            yield Diagnostic("recipe-augment", message, recipe.place("augment", *path), help=help)
    if narrow <= 0:
        place = recipe.place("augment", "random_resized_crop", "ratio")
        help = "for example `ratio: [0.75, 1.3333]`"
        yield Diagnostic("recipe-augment", "an aspect ratio (width over height) is above 0", place, help=help)
    elif narrow < LEAST_RATIO:
        place = recipe.place("augment", "random_resized_crop", "ratio")
        message = f"an aspect ratio of {narrow:g} is below {LEAST_RATIO:g}, that of a line"
        yield Diagnostic("recipe-augment", message, place, help="for example `ratio: [0.75, 1.3333]`")
