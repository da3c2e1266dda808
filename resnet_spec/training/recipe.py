"""A recipe: how a network is trained, as data.

Goes in: a path, the name of a shipped recipe, YAML text or a dict, and patches. Comes out: `Recipe`, checked against
`recipe.schema.json`, with the place of every value for what can only be said later. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from resnet_spec.diagnostics import Diagnostic, Source, Span, SpecError, suggestion
from resnet_spec.language.library import is_file, shipped_name, shipped_names, shipped_path, shipped_root
from resnet_spec.language.merge import parse_set, read_file, resolve_recipe, spec_root
from resnet_spec.language.reader import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, from_data, to_data
from resnet_spec.language.validation import schema_document, validate_recipe
from resnet_spec.language.writer import write_document, write_value

Unit = Literal["epochs", "iterations"]
Precision = Literal["fp32", "bf16", "fp16"]
RecipeNumber = int | float
_Wanted = TypeVar("_Wanted", bound=int | float | str | bool)
Interpolation = Literal["bilinear", "bicubic", "nearest"]
Statistic = Literal["data", "imagenet", "half", "none"] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The shape of the learning rate; the fields that its `op` does not have keep their defaults."""

    op: Literal["constant", "multistep", "cosine", "one_cycle", "polynomial"]
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    unit: Unit = "epochs"
    final: float = 0.0
    rise: float = 0.3
    start: float = 0.04
    shape: Literal["cosine", "linear"] = "cosine"
    power: float = 1.0


@dataclass(frozen=True, slots=True)
class Warmup:
    """A start at a lower rate. `until` is the training error that ends it, at the latest after `length`."""

    length: float
    unit: Unit = "epochs"
    start: float = 0.0
    shape: Literal["linear", "constant"] = "linear"
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Augment:
    """What is done to training images at random; None and 0 for nothing. `crop` is pixels of border, `rotation` degrees."""

    crop: int | None = None
    crop_mode: Literal["constant", "reflect"] = "constant"
    resized_crop: tuple[float, float, float, float] | None = None  # least and most area, least and most width over height
    flip: float = 0.0
    rotation: float = 0.0
    rand_augment: tuple[int, int] | None = None  # operations, magnitude
    trivial_augment: bool = False
    erasing: float = 0.0
    erasing_scale: tuple[float, float] = (0.02, 0.33)
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def each(self) -> bool:
        """Whether something is done that torchvision does to one image after the other."""
        return bool(self.rotation or self.rand_augment or self.trivial_augment or self.resized_crop)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with every default filled in. Lengths are in pixels, fractions in 0 to 1; `text` is it as one YAML document."""

    name: str
    epochs: int | None
    iterations: int | None
    batch_size: int
    eval_batch_size: int
    accumulate: int
    seed: int
    label_smoothing: float
    optimizer: str
    optimizer_arguments: dict[str, Any]
    no_decay: tuple[str, ...]
    schedule: Schedule
    warmup: Warmup | None
    resize: int | tuple[int, int] | None
    interpolation: Interpolation
    crop: tuple[int, int] | None
    augment: Augment
    mean: Statistic
    std: Statistic
    split: tuple[float, float]
    hold_out: float
    init: str | None
    ema: tuple[float, int] | None
    clip_norm: float | None
    precision: Precision
    channels_last: bool
    compile: bool
    segments: int
    freeze: tuple[str, ...]
    patience: int | None
    min_delta: float
    deterministic: bool
    sync_batch_norm: bool
    save_minutes: float | None
    save_steps: int | None
    keep: int
    text: str = field(repr=False)
    root: MappingNode = field(repr=False, compare=False)
    warnings: tuple[Diagnostic, ...] = field(default=(), repr=False, compare=False)

    @property
    def lr(self) -> float:
        """The optimizer's learning rate, of which the schedule is a factor."""
        lr = self.optimizer_arguments["lr"]
        assert isinstance(lr, int | float)
        return float(lr)

    def place(self, *path: str) -> Span:
        """Where a value was written, or as much of its path as was."""
        node: YamlNode = self.root
        span = self.root.span
        for key in path:
            if not isinstance(node, MappingNode) or key not in node.entries:
                break
            entry = node.entries[key]
            node = entry.value
            span = entry.key if entry.key.source is node.span.source else node.span  # a value may be the command line's
        return span

    def refuse(self, code: str, message: str, *path: str, help: str = "") -> SpecError:
        """An error about a value of the recipe, at its place."""
        return SpecError([Diagnostic(code, message, self.place(*path), help=help)])


def read_recipe(recipe: str | Path | Mapping[str, object], patches: Iterable[str] = ()) -> Recipe:
    """Read a recipe and lay `patches` (`"optimizer.lr=0.05"`, or `warmup=` to delete) on it.

    A patch of `epochs` takes the place of `iterations`, and the other way round. Raises SpecError with every finding.
    """
    source, folder, root = _find(recipe)
    laid = [parse_set(text, option="--set-recipe") for text in patches]
    tree, warnings = resolve_recipe(source, folder, root, laid)
    patched = {key for patch in laid for key in patch.entries}
    for word, other in (("epochs", "iterations"), ("iterations", "epochs")):
        if word in patched and other not in patched:
            tree = MappingNode({key: entry for key, entry in tree.entries.items() if key != other}, tree.span)
    if "schedule" not in tree.entries:  # deleted
        tree = MappingNode(
            {**tree.entries, "schedule": Entry(tree.span, ScalarNode("constant", tree.span, "constant"))}, tree.span
        )
    findings = [_with_example(finding, tree) for finding in validate_recipe(tree)]
    if findings:
        raise SpecError([*findings, *warnings])
    found = _recipe(tree, warnings, source)
    findings = list(_contradictions(found))
    if findings:
        raise SpecError([*findings, *warnings])
    return found


def settled(recipe: Recipe, computes_bf16: bool) -> Recipe:
    """A recipe for one device: `precision: auto` becomes what it means there."""
    if _word(recipe.root, "precision", "") != "auto":
        return recipe
    return read_recipe(recipe.text, [f"precision={'bf16' if computes_bf16 else 'fp32'}"])


def _find(recipe: str | Path | Mapping[str, object]) -> tuple[Source, Path | None, Path | None]:
    if isinstance(recipe, Mapping):
        return from_data({"recipe": 1, **recipe}, "<recipe>"), Path.cwd(), Path.cwd()
    if isinstance(recipe, str) and "\n" in recipe:
        return Source("<recipe>", recipe), Path.cwd(), Path.cwd()
    path = Path(recipe)
    if is_file(path):
        return read_file(path), path.parent, spec_root(path)
    shipped = shipped_path(str(recipe), "recipe") if isinstance(recipe, str) else None
    if shipped is None:
        mend = suggestion(path.name.removesuffix(".yaml"), shipped_names("recipe"))
        raise SpecError([Diagnostic("missing-file", f"there is no file or shipped recipe {recipe}", None, help=mend)])
    return read_file(shipped, shipped_name(shipped, "recipe")), shipped.parent, shipped_root("recipe")


def _with_example(finding: Diagnostic, root: MappingNode) -> Diagnostic:
    """A finding that says no help, with what the field may look like instead."""
    if finding.help or finding.span is None:
        return finding
    node: YamlNode | None = root
    field: Any = schema_document("recipe")
    key = ""
    while isinstance(node, MappingNode):
        under = next((key for key, entry in node.entries.items() if _holds(entry, finding.span)), None)
        members = field.get("allOf", ())
        op = _word(node, "op", "")
        parts = [field, *(member["then"] for member in members if member["if"]["properties"]["op"]["const"] == op)]
        fields = {key: each for part in parts for key, each in part.get("properties", {}).items() if each is not True}
        if under is None or under not in fields:
            break
        key, field, node = under, fields[under], node.get(under)
    if not key:
        return finding
    return replace(finding, help=f"for example `{key}: {write_value(field['examples'][0])}`")


def _holds(entry: Entry, span: Span) -> bool:
    value = entry.value
    inside = [entry.key, value.span, *(item.span for item in (value.items if isinstance(value, SequenceNode) else ()))]
    below = value.entries.values() if isinstance(value, MappingNode) else ()
    return span in inside or any(_holds(each, span) for each in below)


def _recipe(root: MappingNode, warnings: tuple[Diagnostic, ...], source: Source) -> Recipe:
    normalize, split, ema, save = (_mapping(root, key) for key in ("normalize", "split", "ema", "save"))
    stopping = _mapping(root, "early_stopping")
    optimizer = root.get("optimizer")
    name = _word(root, "name", "") or Path(source.name).name.removesuffix(".yaml").strip("<>")
    arguments: dict[str, Any] = {}
    if isinstance(optimizer, MappingNode):
        arguments = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in ((key, to_data(entry.value)) for key, entry in optimizer.entries.items())
            if key != "op"
        }
    precision = _word(root, "precision", "fp32")
    interpolation = _word(root, "interpolation", "bilinear")
    crop = _size(root.get("crop"))
    return Recipe(
        name=name,
        epochs=_optional(root, "epochs", int),
        iterations=_optional(root, "iterations", int),
        batch_size=_value(root, "batch_size", 128),
        eval_batch_size=_value(root, "eval_batch_size", 256),
        accumulate=_value(root, "accumulate", 1),
        seed=_value(root, "seed", 0),
        label_smoothing=_value(root, "label_smoothing", 0.0),
        optimizer=_word(optimizer, "op", "") if isinstance(optimizer, MappingNode) else _text(optimizer),
        optimizer_arguments=arguments,
        no_decay=_words(root.get("no_decay")),
        schedule=_schedule(root.get("schedule")),
        warmup=_warmup(root.get("warmup")),
        resize=_size(root.get("resize")),
        interpolation="bicubic" if interpolation == "bicubic" else "nearest" if interpolation == "nearest" else "bilinear",
        crop=(crop, crop) if isinstance(crop, int) else crop,
        augment=_augment(_mapping(root, "augment")),
        mean=_statistic(normalize.get("mean")),
        std=_statistic(normalize.get("std")),
        split=(_value(split, "validation", 0.2), _value(split, "test", 0.2)),
        hold_out=_value(root, "hold_out", 0.0),
        init=_word(root, "init", "") or None,
        ema=(_value(ema, "decay", 0.999), _value(ema, "every", 1)) if "ema" in root.entries else None,
        clip_norm=_optional(root, "clip_norm", float),
        precision="bf16" if precision == "bf16" else "fp16" if precision == "fp16" else "fp32",
        channels_last=_value(root, "channels_last", True),
        compile=_value(root, "compile", False),
        segments=_value(root, "segments", 0),
        freeze=_words(root.get("freeze")),
        patience=_optional(stopping, "patience", int),
        min_delta=_value(stopping, "min_delta", 0.0),
        deterministic=_value(root, "deterministic", False),
        sync_batch_norm=_value(root, "sync_batch_norm", False),
        save_minutes=_optional(save, "minutes", float) if "minutes" in save.entries else 10.0,
        save_steps=_optional(save, "steps", int),
        keep=_value(save, "keep", 2),
        text=write_document(_alone(root, name)),
        root=root,
        warnings=warnings,
    )


def _alone(root: MappingNode, name: str) -> MappingNode:
    """A recipe under its name; in an order that stays where it is read again, and defaults come first."""
    entries = {**root.entries, "name": Entry(root.span, ScalarNode(name, root.span, name))}
    first = [key for key in ("recipe", "name", "optimizer", "schedule") if key in entries]
    return MappingNode({key: entries[key] for key in dict.fromkeys([*first, *entries])}, root.span)


def _contradictions(recipe: Recipe) -> Iterable[Diagnostic]:
    """What the schema cannot say."""
    if recipe.epochs is not None and recipe.iterations is not None:
        places = {word: recipe.place(word) for word in ("epochs", "iterations")}
        own = [word for word, place in places.items() if place.source is recipe.root.span.source]
        mend = "remove one of them"
        if len(own) == 1:
            other = "iterations" if own == ["epochs"] else "epochs"
            mend = f"delete the one that is inherited, of {places[other]}: `{other}: null`"
        message = "both `epochs` and `iterations` say how long it is"
        yield Diagnostic("recipe-length", message, places[own[-1] if own else "epochs"], help=mend)
    if recipe.epochs is None and recipe.iterations is None:
        yield Diagnostic("recipe-length", "the recipe does not say how long it is", recipe.root.span, help="write `epochs: 30`")
    lr = recipe.optimizer_arguments.get("lr")
    if not recipe.optimizer:
        mend = "write one: `optimizer: {op: SGD, lr: 0.1}`"
        yield Diagnostic("recipe-optimizer", "the recipe has no optimizer", recipe.root.span, help=mend)
    elif isinstance(lr, bool) or not isinstance(lr, int | float):
        usual = {"sgd": ("SGD", 0.1), "adam": ("Adam", 0.001), "adamw": ("AdamW", 0.001)}
        op, rate = usual.get(recipe.optimizer.lower(), (recipe.optimizer, 0.01))
        mend = f"write it in the optimizer: `optimizer: {{op: {op}, lr: {rate}}}`"
        place = recipe.place("optimizer", "lr")
        yield Diagnostic("recipe-optimizer", "the optimizer has no learning rate that is a number", place, help=mend)
    if recipe.accumulate > recipe.batch_size:
        message = f"a batch of {recipe.batch_size} images cannot be cut into {recipe.accumulate} parts"
        mend = f"at most {recipe.batch_size} parts, or a larger `batch_size`"
        yield Diagnostic("recipe-batch", message, recipe.place("accumulate"), help=mend)
    if recipe.compile and recipe.segments:
        message = "`torch.compile` does not compile a network that is cut into segments"
        yield Diagnostic("recipe-segments", message, recipe.place("segments"), help="remove one of them: `compile: null`")
    if sum(recipe.split) >= 1.0:
        message = "`validation` and `test` leave nothing to train on"
        yield Diagnostic("recipe-split", message, recipe.place("split"), help="together they are less than 1")
    if recipe.augment.rand_augment and recipe.augment.trivial_augment:
        message = "`rand_augment` and `trivial_augment_wide` are two policies"
        place = recipe.place("augment", "trivial_augment_wide")
        yield Diagnostic("recipe-augment", message, place, help="remove one of them")
    if recipe.augment.resized_crop and recipe.augment.crop is not None:
        message = "`random_resized_crop` and `random_crop` both cut"
        yield Diagnostic("recipe-augment", message, recipe.place("augment", "random_crop"), help="remove one of them")
    yield from _disorder(recipe)
    if recipe.hold_out >= 1.0:
        mend = "write less than 1, such as 0.1"
        yield Diagnostic("recipe-split", "`hold_out` leaves nothing to train on", recipe.place("hold_out"), help=mend)
    if isinstance(recipe.std, tuple) and not all(value > 0 for value in recipe.std):
        mend = "1 divides by nothing, and so does `std: none`"
        yield Diagnostic("recipe-normalize", "a standard deviation is above 0", recipe.place("normalize", "std"), help=mend)


def _disorder(recipe: Recipe) -> Iterable[Diagnostic]:
    """Ranges whose ends stand the wrong way round, and shapes that no rectangle has."""
    augment = recipe.augment
    least, most, narrow, wide = augment.resized_crop or (0.0, 1.0, 1.0, 1.0)
    for (first, last), path in (
        ((least, most), ("random_resized_crop", "scale")),
        ((narrow, wide), ("random_resized_crop", "ratio")),
        (augment.erasing_scale, ("random_erasing", "scale")),
    ):
        if first > last:
            mend = f"the least comes first: `{path[1]}: [{last:g}, {first:g}]`"
            message = f"`{'.'.join(path)}` goes from {first:g} down to {last:g}"
            yield Diagnostic("recipe-augment", message, recipe.place("augment", *path), help=mend)
    if narrow <= 0:
        place = recipe.place("augment", "random_resized_crop", "ratio")
        yield Diagnostic("recipe-augment", "a width over height is above 0", place, help="for example `ratio: [0.75, 1.3333]`")


def _schedule(node: YamlNode | None) -> Schedule:
    op = _word(node, "op", "constant") if isinstance(node, MappingNode) else _text(node)
    assert op in ("constant", "multistep", "cosine", "one_cycle", "polynomial")
    if not isinstance(node, MappingNode):
        return Schedule(op)  # type: ignore[arg-type]
    milestones = node.get("milestones")
    return Schedule(
        op,  # type: ignore[arg-type]
        _numbers(milestones),
        _value(node, "gamma", 0.1),
        _unit(node),
        _value(node, "final", 0.0),
        _value(node, "rise", 0.3),
        _value(node, "start", 0.04),
        "linear" if _word(node, "shape", "cosine") == "linear" else "cosine",
        _value(node, "power", 1.0),
    )


def _warmup(node: YamlNode | None) -> Warmup | None:
    if not isinstance(node, MappingNode):
        return None
    return Warmup(
        _value(node, "length", 0.0),
        _unit(node),
        _value(node, "start", 0.0),
        "constant" if _word(node, "shape", "linear") == "constant" else "linear",
        _optional(node, "until_train_error", float),
    )


def _augment(node: MappingNode) -> Augment:
    crop, resized = node.get("random_crop"), node.get("random_resized_crop")
    policy, erasing = node.get("rand_augment"), node.get("random_erasing")
    scale = _numbers(resized.get("scale")) if isinstance(resized, MappingNode) else ()
    ratio = _numbers(resized.get("ratio")) if isinstance(resized, MappingNode) else ()
    area = _numbers(erasing.get("scale")) if isinstance(erasing, MappingNode) else ()
    return Augment(
        crop=_value(crop, "padding", 4) if isinstance(crop, MappingNode) else None,
        crop_mode="reflect" if isinstance(crop, MappingNode) and _word(crop, "mode", "") == "reflect" else "constant",
        resized_crop=(*_pair(scale, 0.08, 1.0), *_pair(ratio, 3 / 4, 4 / 3)) if isinstance(resized, MappingNode) else None,
        flip=_value(node, "random_horizontal_flip", 0.0),
        rotation=_value(node, "random_rotation", 0.0),
        rand_augment=(_value(policy, "num_ops", 2), _value(policy, "magnitude", 9))
        if isinstance(policy, MappingNode)
        else None,
        trivial_augment=_value(node, "trivial_augment_wide", False),
        erasing=_value(erasing, "p", 0.5) if isinstance(erasing, MappingNode) else 0.0,
        erasing_scale=_pair(area, 0.02, 0.33),
        mixup=_value(node, "mixup", 0.0),
        cutmix=_value(node, "cutmix", 0.0),
    )


def _pair(numbers: tuple[float, ...], least: float, most: float) -> tuple[float, float]:
    return (numbers[0], numbers[1]) if numbers else (least, most)


def _mapping(root: MappingNode, key: str) -> MappingNode:
    node = root.get(key)
    return node if isinstance(node, MappingNode) else MappingNode({}, root.span)


def _value(node: MappingNode, key: str, default: _Wanted) -> _Wanted:
    """A value that the schema has checked, in the type of its default."""
    scalar = node.get(key)
    if not isinstance(scalar, ScalarNode) or scalar.value is None:
        return default
    return type(default)(scalar.value)


def _optional(node: MappingNode, key: str, kind: type[_Wanted]) -> _Wanted | None:
    scalar = node.get(key)
    return None if not isinstance(scalar, ScalarNode) or scalar.value is None else kind(scalar.value)


def _text(node: YamlNode | None) -> str:
    return str(node.value) if isinstance(node, ScalarNode) and node.value is not None else ""


def _word(node: MappingNode, key: str, default: str) -> str:
    return _text(node.get(key)) or default


def _words(node: YamlNode | None) -> tuple[str, ...]:
    return tuple(_text(item) for item in node.items) if isinstance(node, SequenceNode) else ()


def _numbers(node: YamlNode | None) -> tuple[float, ...]:
    items = node.items if isinstance(node, SequenceNode) else ()
    return tuple(float(item.value) for item in items if isinstance(item, ScalarNode) and isinstance(item.value, int | float))


def _unit(node: MappingNode) -> Unit:
    return "iterations" if _word(node, "unit", "epochs") == "iterations" else "epochs"


def _size(node: YamlNode | None) -> int | tuple[int, int] | None:
    if isinstance(node, SequenceNode):
        height, width = _numbers(node)
        return int(height), int(width)
    return int(node.value) if isinstance(node, ScalarNode) and isinstance(node.value, int | float) else None


def _statistic(node: YamlNode | None) -> Statistic:
    if isinstance(node, SequenceNode):
        return _numbers(node)
    word = _text(node) or "data"
    return "imagenet" if word == "imagenet" else "half" if word == "half" else "none" if word == "none" else "data"
