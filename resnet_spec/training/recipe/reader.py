"""Reading a recipe: a file, a shipped name, YAML text or data becomes a checked `Recipe`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from resnet_spec.diagnostics import ArgumentError, Diagnostic, RecipeError, ResnetSpecError, Source, Span, suggestion
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.diagnostics.effort import limit_effort
from resnet_spec.diagnostics.proving import prove_fixes
from resnet_spec.language.files import read_file, spec_root
from resnet_spec.language.library import is_file, shipped_name, shipped_names, shipped_path, shipped_root
from resnet_spec.language.merge import resolve_recipe
from resnet_spec.language.patches import parse_set
from resnet_spec.language.reader import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, from_data, to_data
from resnet_spec.language.schemas import schema_document
from resnet_spec.language.validation import validate_recipe
from resnet_spec.language.writer import write_document, write_value
from resnet_spec.training.recipe.checks import find_contradictions, find_unmeasurable
from resnet_spec.training.recipe.model import (
    Augment,
    ClassWeights,
    Interpolation,
    Precision,
    Recipe,
    RecipeLike,
    Schedule,
    ScheduleShape,
    Statistic,
    StatisticWord,
    Unit,
    Warmup,
)
from resnet_spec.training.recipe.scaling import scale_schedule
from resnet_spec.training.recipe.section import Section, word_of

_UNITS: tuple[Unit, ...] = get_args(Unit)
_PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
_STATISTICS: tuple[StatisticWord, ...] = get_args(StatisticWord)
_SCHEDULES: tuple[ScheduleShape, ...] = get_args(ScheduleShape)


def read_recipe(recipe: RecipeLike, patches: Iterable[str] = (), *, scaled: bool = False, of_run: bool = False) -> Recipe:
    """Read a recipe and apply `patches` (`"optimizer.lr=0.05"`, or `"warmup="` to delete) to it.

    A patch of `epochs` replaces `iterations`, and the other way round. `scaled` scales milestones and warm-up to the length.
    `of_run`: it is that of a run that has begun, which is not refused for what an earlier version of resnet-spec accepted.

    Raises:
        RecipeError: the recipe is wrong; with every finding, each at its place.
        ArgumentError: there is no such recipe, or a patch is not of the form `key.path=value`.
    """
    return read_recipe_source(*_find(recipe), patches, scaled=scaled, of_run=of_run)


def read_recipe_source(
    source: Source,
    folder: Path | None,
    root: Path | None,
    patches: Iterable[str] = (),
    *,
    scaled: bool = False,
    of_run: bool = False,
) -> Recipe:
    """As `read_recipe`, for a text that was read before.

    Args:
        folder, root: where relative `extends` start, and the folder that they may not leave (see `resolve_recipe`).
    """
    parsed = [parse_set(text, option="--set-recipe") for text in patches]
    try:
        return _read(source, folder, root, parsed, scaled, of_run)
    except RecipeError as error:
        found = error.diagnostics
    if not any(finding.fixes for finding in found):
        raise RecipeError(found)

    def check(changed: Source) -> Sequence[Diagnostic]:
        try:
            return _read(changed, folder, root, parsed, scaled, of_run).warnings
        except ResnetSpecError as error:
            return error.diagnostics

    raise RecipeError(prove_fixes(found, source, check))


@limit_effort()
def _read(
    source: Source, folder: Path | None, root: Path | None, parsed: Sequence[MappingNode], scaled: bool, of_run: bool
) -> Recipe:
    """Read a recipe from its text. Its fixes are not proven."""
    tree, warnings = resolve_recipe(source, folder, root, parsed)
    patched = {key for patch in parsed for key in patch.entries}
    for word, other in (("epochs", "iterations"), ("iterations", "epochs")):
        if word in patched and other not in patched:
            tree = MappingNode({key: entry for key, entry in tree.entries.items() if key != other}, tree.span)
    if "schedule" not in tree.entries:  # it was deleted: the text of the recipe has the default
        schedule = ScalarNode(schema_document("recipe")["properties"]["schedule"]["default"], tree.span)
        tree = MappingNode({**tree.entries, "schedule": Entry(tree.span, schedule)}, tree.span)
    findings = _with_examples(validate_recipe(tree), tree)
    if findings:
        raise RecipeError([*findings, *warnings])
    name = word_of(tree.get("name")) or Path(source.name).name.removesuffix(".yaml").strip("<>")
    found = recipe_of_tree(tree, name, warnings)
    findings = [*find_contradictions(found), *([] if of_run else find_unmeasurable(found))]
    if findings:
        raise RecipeError([*findings, *warnings])
    if scaled and (changes := scale_schedule(found, resolve_recipe(source, folder, root)[0])):
        entries = {key: Entry(tree.entries[key].key, value) for key, value in changes.items()}
        found = recipe_of_tree(MappingNode({**tree.entries, **entries}, tree.span), name, warnings)
    return found


def _find(recipe: RecipeLike) -> tuple[Source, Path | None, Path | None]:
    if isinstance(recipe, Mapping):
        return from_data({"recipe": 1, **recipe}, "<recipe>"), Path.cwd(), Path.cwd()
    if isinstance(recipe, str) and "\n" in recipe:
        return Source("<recipe>", recipe), Path.cwd(), Path.cwd()
    if not isinstance(recipe, str | Path):
        raise wrong_argument(f"`recipe` takes a path, the name of a shipped recipe, YAML text, or a dict, not {quote(recipe)}")
    path = Path(recipe)
    if is_file(path):
        return read_file(path, kind="recipe"), path.parent, spec_root(path)
    shipped = shipped_path(str(recipe), "recipe") if isinstance(recipe, str) else None
    if shipped is None:
        help = suggestion(path.name.removesuffix(".yaml"), shipped_names("recipe"))
        raise ArgumentError([Diagnostic("missing-file", f"there is no file or shipped recipe {recipe}", None, help=help)])
    return read_file(shipped, shipped_name(shipped, "recipe"), kind="recipe"), shipped.parent, shipped_root("recipe")


def _with_examples(findings: Sequence[Diagnostic], root: MappingNode) -> list[Diagnostic]:
    """The findings, with an example of its field as the help of each that has no help of its own."""
    steps = _steps_to(root)
    examples: dict[tuple[str, ...], str] = {}
    found = []
    for finding in findings:
        path = () if finding.help or finding.span is None else steps.get(finding.span, ())
        if path and path not in examples:
            examples[path] = _example(root, path)
        found.append(replace(finding, help=examples[path]) if path else finding)
    return found


def _example(root: MappingNode, steps: Sequence[str]) -> str:
    """An example of the last field on a path that the schema knows."""
    node: YamlNode | None = root
    field: Any = schema_document("recipe")
    key = ""
    for under in steps:
        if not isinstance(node, MappingNode):
            break
        members = field.get("allOf", ())
        op = word_of(node.get("op"))
        parts = [field, *(member["then"] for member in members if member["if"]["properties"]["op"]["const"] == op)]
        fields = {key: each for part in parts for key, each in part.get("properties", {}).items() if each is not True}
        if under not in fields:
            break
        key, field, node = under, fields[under], node.get(under)
    return f"for example `{key}: {write_value(field['examples'][0])}`" if key else ""


def _steps_to(root: MappingNode) -> dict[Span, tuple[str, ...]]:
    """The keys that lead to the entry at each place of a tree: to that with the key, the value or the item there."""
    found: dict[Span, tuple[str, ...]] = {}
    pending: list[tuple[MappingNode, tuple[str, ...]]] = [(root, ())]
    while pending:
        node, above = pending.pop()
        for name, entry in node.entries.items():
            steps, value = (*above, name), entry.value
            items = value.items if isinstance(value, SequenceNode) else ()
            for span in (entry.key, value.span, *(item.span for item in items)):
                found.setdefault(span, steps)
            if isinstance(value, MappingNode):
                pending.append((value, steps))
    return found


def _under_name(root: MappingNode, name: str) -> MappingNode:
    """A recipe under its name, in the order in which it would be read again: the language's defaults come first."""
    entries = {**root.entries, "name": Entry(root.span, ScalarNode(name, root.span, name))}
    first = [key for key in ("recipe", "name", "optimizer", "schedule") if key in entries]
    return MappingNode({key: entries[key] for key in dict.fromkeys([*first, *entries])}, root.span)


def recipe_of_tree(root: MappingNode, name: str, warnings: tuple[Diagnostic, ...]) -> Recipe:
    """The recipe of a merged tree that the schema accepts."""
    top = Section(root, schema_document("recipe"))
    normalize, split, ema, save = map(top.section, ("normalize", "split", "ema", "save"))
    optimizer, arguments = _optimizer(root.get("optimizer"))
    crop = top.size("crop")
    return Recipe(
        name=name,
        epochs=top.optional_integer("epochs"),
        iterations=top.optional_integer("iterations"),
        batch_size=top.integer("batch_size"),
        eval_batch_size=top.integer("eval_batch_size"),
        accumulate=top.integer("accumulate"),
        seed=top.integer("seed"),
        label_smoothing=top.number("label_smoothing"),
        class_weights=_class_weights(top),
        auxiliary=top.section("auxiliary").numbers_by_name() if top.has("auxiliary") else {},
        optimizer=optimizer,
        optimizer_arguments=arguments,
        no_decay=top.texts("no_decay"),
        schedule=_schedule(top),
        warmup=_warmup(top.section("warmup")) if top.has("warmup") else None,
        resize=top.size("resize"),
        interpolation=top.word("interpolation", _INTERPOLATIONS),
        crop=(crop, crop) if isinstance(crop, int) else crop,
        levels=_levels(top),
        augment=_augment(top.section("augment")),
        mean=_statistic(normalize, "mean"),
        std=_statistic(normalize, "std"),
        split=(split.number("validation"), split.number("test")),
        hold_out=top.number("hold_out"),
        init=top.text("init") or None,
        ema=(ema.number("decay"), ema.integer("every")) if top.has("ema") else None,
        clip_norm=top.optional_number("clip_norm"),
        precision="fp32" if top.text("precision") == "auto" else top.word("precision", _PRECISIONS),
        channels_last=top.boolean("channels_last"),
        compile=top.boolean("compile"),
        segments=top.integer("segments"),
        freeze=top.texts("freeze"),
        patience=top.section("early_stopping").integer("patience") if top.has("early_stopping") else None,
        min_delta=top.section("early_stopping").number("min_delta"),
        deterministic=top.boolean("deterministic"),
        sync_batch_norm=top.boolean("sync_batch_norm"),
        save_minutes=None if save.is_off("minutes") else save.optional_number("minutes"),
        save_steps=save.optional_integer("steps"),
        keep=save.integer("keep"),
        text=write_document(_under_name(root, name)),
        root=root,
        warnings=warnings,
    )


def _optimizer(node: YamlNode | None) -> tuple[str, dict[str, Any]]:
    """The class of an optimizer and its arguments, lists as tuples."""
    if not isinstance(node, MappingNode):
        return word_of(node), {}
    values = {key: to_data(entry.value) for key, entry in node.entries.items() if key != "op"}
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return word_of(node.get("op")), arguments


def _class_weights(top: Section) -> ClassWeights | None:
    if top.has("class_weights"):
        return top.section("class_weights").numbers_by_name()
    return "balanced" if top.text("class_weights") else None


def _schedule(top: Section) -> Schedule:
    node = top.node.get("schedule")
    mapping = node if isinstance(node, MappingNode) else MappingNode({}, top.node.span)
    op = word_of(node) or word_of(mapping.get("op"))
    members = top.schema["properties"]["schedule"]["allOf"]
    fields = {key: field for member in members for key, field in member["then"]["properties"].items() if field is not True}
    written = Section(mapping, {"properties": fields})
    return Schedule(
        next(shape for shape in _SCHEDULES if shape == op),
        written.numbers("milestones") if "milestones" in mapping.entries else (),
        written.number("gamma"),
        written.word("unit", _UNITS),
        written.number("final"),
        written.number("rise"),
        written.number("start"),
        written.word("shape", ("cosine", "linear")),
        written.number("power"),
    )


def _warmup(written: Section) -> Warmup:
    return Warmup(
        written.number("length"),
        written.word("unit", _UNITS),
        written.number("start"),
        written.word("shape", ("linear", "constant")),
        written.optional_number("until_train_error"),
    )


def _augment(written: Section) -> Augment:
    crop, resized = written.section("random_crop"), written.section("random_resized_crop")
    policy, erasing = written.section("rand_augment"), written.section("random_erasing")
    padding = crop.number("padding")
    return Augment(
        crop=int(padding) if written.has("random_crop") else None,
        crop_mode=crop.word("mode", ("constant", "reflect")),
        resized_crop=(*resized.pair("scale"), *resized.pair("ratio")) if written.has("random_resized_crop") else None,
        flip=written.number("random_horizontal_flip"),
        rotation=written.number("random_rotation"),
        rand_augment=(policy.integer("num_ops"), policy.integer("magnitude")) if written.has("rand_augment") else None,
        trivial_augment=written.boolean("trivial_augment_wide"),
        erasing=erasing.number("p") if written.has("random_erasing") else 0.0,
        erasing_scale=erasing.pair("scale"),
        mixup=written.number("mixup"),
        cutmix=written.number("cutmix"),
        crop_share=padding if written.has("random_crop") and padding < 1 else 0.0,
    )


def _levels(top: Section) -> Literal["data"] | tuple[float, float] | None:
    match top.value("levels"):
        case list():
            return top.pair("levels")
        case None:
            return None
    return "data"


def _statistic(normalize: Section, key: str) -> Statistic:
    value = normalize.value(key)
    if isinstance(value, list):
        return normalize.numbers(key)
    return normalize.word(key, _STATISTICS)
