"""Keys at the top of a spec that belong elsewhere, or that have another name: what is meant, with fixes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from resnet_spec.diagnostics import Applicability, Span
from resnet_spec.diagnostics.arguments import likely_size
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.editing import Edits, is_flow, remove_entry, replace_text, replace_value, root_of, set_path
from resnet_spec.language.fixes import Help, propose, together
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, to_data
from resnet_spec.language.restructuring import unwrap_entry, wrap_entries
from resnet_spec.language.schemas import operation_names, schema_document

_OTHER_NAMES = {  # what other formats call a key of a spec
    **dict.fromkeys(("base", "from", "inherit", "inherits", "parent", "_base_", "include", "import", "extend"), "extends"),
    **dict.fromkeys(("activation", "act_layer", "activation_fn", "nonlinearity"), "act"),
    **dict.fromkeys(("normalization", "norm_layer", "batch_norm", "batchnorm", "bn"), "norm"),
    **dict.fromkeys(("nb_classes", "n_classes", "num_labels", "class_count", "out_features"), "classes"),
    **dict.fromkeys(("classifier", "top", "output_head"), "head"),
    **dict.fromkeys(("title", "model_name"), "name"),
    **dict.fromkeys(("description", "comment", "doc"), "about"),
    **dict.fromkeys(("initialization", "initializer", "weight_init"), "init"),
    **dict.fromkeys(("parameters", "variables", "hyperparameters"), "params"),
}
_CLEAR = ("extends", "act", "norm", "classes", "name", "about")  # what can only be meant by the other names
_SIZES = (
    "input_shape",
    "input_size",
    "image_size",
    "img_size",
    "in_shape",
    "imgsz",
    "resolution",
    "shape",
    "size",
    "input_dim",
)
_CHANNELS = ("in_chans", "in_channels", "input_channels", "channels", "num_channels", "in_planes", "c")
_DROPOUT = ("dropout", "drop_rate", "dropout_rate", "drop")
_WEIGHTS = ("weights", "pretrained", "checkpoint", "pretrained_weights", "state_dict")
_OF_TRAINING = {
    *("epochs", "lr", "learning_rate", "optimizer", "optimiser", "batch_size", "batch", "scheduler", "schedule", "loss"),
    *("augment", "augmentation", "transforms", "weight_decay", "momentum", "warmup", "seed", "dataset", "data", "device"),
    *("train", "training", "trainer", "label_smoothing", "ema", "workers", "num_workers"),
}
_OF_STAGES = {  # a field of stages, and what it is called with one value for each stage
    "depth": "depth",
    **dict.fromkeys(("depths", "layers", "blocks_per_stage", "num_blocks", "repeats", "stage_depths"), "depth"),
    "width": "width",
    **dict.fromkeys(("widths", "channels", "filters", "planes", "num_channels"), "width"),
    "stride": "stride",
    "strides": "stride",
}
MOST_NEIGHBORS = 50  # on each side of a key that are moved with it
_STAGE_NAME = re.compile(r"(layer|stage|res|conv|block|group|s|l)_?[0-9]+")
_HEAD_WORDS = ("linear", "adaptive_avg_pool2d", "adaptive_max_pool2d", "flatten", "dropout")


def means_input(extra: str, value: object) -> bool:
    """Whether an unknown key most likely holds the size of the input, or what is extended, which has one."""
    inside = isinstance(value, MappingNode) and bool({"input", "extends"} & value.entries.keys())
    return inside or extra in _SIZES or _OTHER_NAMES.get(extra.lower()) == "extends"


def is_size(value: object) -> bool:
    """Whether a value is an input size such as `3x224x224`."""
    return isinstance(value, ScalarNode) and re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*){2}", value.text) is not None


def find_place(extra: str, root: MappingNode, paths: Sequence[str]) -> Help | None:
    """What is meant by an unknown key at the top of a spec; None if there is no idea.

    `paths` are the places of entries with the same name below the top of the merged document.
    """
    entry = root.entries[extra]
    if entry.key.source.origin != "spec":
        return None
    for found in _ideas(extra, entry, root, paths):
        return found
    return None


def _ideas(extra: str, entry: Entry, root: MappingNode, paths: Sequence[str]) -> Iterator[Help]:
    key, value = entry.key, entry.value
    known = schema_document()["properties"]
    if isinstance(value, MappingNode) and set(value.entries) & (set(known) - {"norm", "act", "block", "name"}):
        title = f"remove `{extra}:`, and take what is below it to the top"
        yield title, propose(title, unwrap_entry(key))
    above = next((path.rpartition(".")[0] for path in paths if path.partition(".")[0] != extra), "")
    if above in ("stem", "stages", "head", "params", "blocks"):
        yield _below(extra, root, above)
    if extra in _SIZES:
        yield _size(extra, entry)
    if extra in _CHANNELS and isinstance(value, ScalarNode):
        yield _channels(entry, root)
    if extra in _DROPOUT and isinstance(value, ScalarNode):
        yield _dropout(entry, root)
    if extra in _WEIGHTS:
        yield "a spec describes a network, and holds no weights: remove it", propose("remove it", remove_entry(key))
    if extra in _OF_STAGES and not isinstance(value, MappingNode):
        yield _for_stages(extra, entry, root)
    meant = _OTHER_NAMES.get(extra.lower())
    if meant is not None:
        taken = root.entries.get(meant)
        free = taken is None or taken.key.source is not key.source
        applicability: Applicability = "safe" if meant in _CLEAR else "likely"
        help = f"did you mean `{meant}`?"
        yield help, propose(help, replace_text(key, meant) if free else (), applicability)
    if extra.lower() in _OF_TRAINING:
        yield "how a network is trained is not part of a spec: write a recipe, and give it to `train SPEC --recipe FILE`", ()
    part = _part_for(extra, value, root, known)
    if part:
        yield _below(extra, root, part, part == "stages")
    if isinstance(value, MappingNode) and value.entries and all(_is_operation(each.value) for each in value.entries.values()):
        yield _as_part(extra, key, root, ("stem", "head"))
    if isinstance(value, MappingNode) and value.entries and all(_is_stage(each.value) for each in value.entries.values()):
        yield _as_part(extra, key, root, ("stages",))


def _part_for(extra: str, value: YamlNode, root: MappingNode, known: object) -> str:
    """The part of a spec that an entry belongs to by its form: a stage, or an operation before or behind the stages."""
    if _is_stage(value) and (_STAGE_NAME.fullmatch(extra) or "stages" in root.entries):
        return "stages"
    if not _is_operation(value):
        return ""
    op = value.get("op") if isinstance(value, MappingNode) else value
    word = op.text if isinstance(op, ScalarNode) else ""
    return "head" if word in _HEAD_WORDS else "stem"


def _is_stage(value: YamlNode) -> bool:
    return (
        isinstance(value, MappingNode)
        and "op" not in value.entries
        and bool({"block", "stride", *_OF_STAGES} & value.entries.keys())
    )


def _is_operation(value: YamlNode) -> bool:
    if isinstance(value, MappingNode):
        return "op" in value.entries
    return isinstance(value, ScalarNode) and value.text in (*operation_names(), "norm", "act")


def _below(extra: str, root: MappingNode, parent: str, sure: bool = True) -> Help:
    """Indent a key, and those next to it that belong there too."""
    names = _neighbors(extra, root, parent)
    what = "it" if len(names) == 1 else join_words([f"`{name}`" for name in names], "and")
    title = f"indent {what} under `{parent}:`"
    source = root.entries[extra].key.source
    return title, propose(title, wrap_entries(source, names, parent), "safe" if sure else "likely", is_help=True)


def _neighbors(extra: str, root: MappingNode, parent: str) -> list[str]:
    """The unknown keys next to one in the text that belong to the same part."""
    own = root_of(root.entries[extra].key.source)
    known = schema_document()["properties"]
    names = list(own.entries) if own is not None and extra in own.entries else [extra]

    def belongs(name: str) -> bool:
        return name not in known and own is not None and _part_for(name, own.entries[name].value, root, known) == parent

    at = first = last = names.index(extra)
    while first > max(0, at - MOST_NEIGHBORS) and belongs(names[first - 1]):
        first -= 1
    while last + 1 < min(len(names), at + MOST_NEIGHBORS) and belongs(names[last + 1]):
        last += 1
    return names[first : last + 1]


def _as_part(extra: str, key: Span, root: MappingNode, parts: Sequence[str]) -> Help:
    free = [part for part in parts if part not in root.entries]
    listed = join_words([f"`{part}`" for part in parts], "or")
    return f"did you mean {listed}?", tuple(
        fix for part in free for fix in propose(f"did you mean `{part}`?", replace_text(key, part), is_help=True)
    )


def _size(extra: str, entry: Entry) -> Help:
    """An input size under another name, in any form."""
    value = entry.value
    text = value.text if isinstance(value, ScalarNode) else str(to_data(value))
    size = "x".join(map(str, likely_size([int(each) for each in re.findall(r"[1-9][0-9]{0,8}", text)])))
    title = f"write `input: {size}` (channels x height x width)"
    edits: Edits = ()
    if isinstance(value, ScalarNode) or (isinstance(value, SequenceNode) and is_flow(value)):
        edits = together(replace_text(entry.key, "input"), replace_text(value.span, size))
    return title, propose(title, edits, "safe")


def _channels(entry: Entry, root: MappingNode) -> Help:
    """The number of input channels, which is the first number of the input size."""
    size, value = root.get("input"), entry.value
    _, _, rest = size.text.partition("x") if isinstance(size, ScalarNode) else ("", "", "")
    if not isinstance(value, ScalarNode) or not isinstance(value.value, int):
        return "the number of channels is the first one of the input size: `input: 3x224x224`", ()
    title = f"write `input: {value.text}x{rest or '224x224'}`: channels come first"
    edits = together(replace_text(entry.key, "input"), replace_value(value, f"{value.text}x{rest or '224x224'}"))
    if isinstance(size, ScalarNode) and size.span.source is entry.key.source:
        edits = together(replace_value(size, f"{value.text}x{rest}"), remove_entry(entry.key))
    return title, propose(title, edits)


def _dropout(entry: Entry, root: MappingNode) -> Help:
    """A rate of dropout, which is an operation of the head."""
    head, value = root.get("head"), entry.value
    last = list(head.entries)[-1] if isinstance(head, MappingNode) and head.entries else ""
    rate = value.text if isinstance(value, ScalarNode) else ""
    text = f"{{drop: {{op: dropout, p: {rate}{f', insert_before: {last}' if last else ''}}}}}"
    title = f"dropout is an operation: `head: {text}`"
    own = root_of(entry.key.source)
    free = own is not None and "head" not in own.entries and bool(last) and isinstance(value, ScalarNode)
    return title, propose(title, together(replace_text(entry.key, "head"), replace_value(value, text)) if free else ())


def _for_stages(extra: str, entry: Entry, root: MappingNode) -> Help:
    """A field of stages at the top: one value for each stage, or the same for all."""
    field = _OF_STAGES[extra]
    stages = root.get("stages")
    entries = stages.entries.items() if isinstance(stages, MappingNode) else ()
    named = [name for name, each in entries if isinstance(each.value, MappingNode) and "op" not in each.value.entries]
    values = [item.text for item in _items(entry.value) if isinstance(item, ScalarNode)]
    if isinstance(entry.value, ScalarNode) and len(named) != 1:  # one value for all of several stages is hardly meant
        values = []
    names = named if len(named) == len(values) else [f"layer{number}" for number in range(1, len(values) + 1)]
    pairs = list(zip(names, values, strict=True))
    written = ", ".join(f"{name}: {{{field}: {value}}}" for name, value in pairs)
    if not written:
        return f"a stage has its own `{field}`: `stages: {{layer1: {{{field}: ...}}}}`", ()
    title = f"each stage has its own `{field}`: `stages: {{{written}}}`"
    source = entry.key.source
    own = root_of(source)
    if own is None or len(named) != len(values):
        return title, ()
    if "stages" not in own.entries:
        edits = together(replace_text(entry.key, "stages"), replace_value(entry.value, f"{{{written}}}"))
    else:
        edits = together(remove_entry(entry.key), *(set_path(source, ("stages", name, field), value) for name, value in pairs))
    return title, propose(title, edits, is_help=True)


def _items(value: YamlNode) -> Sequence[YamlNode]:
    return value.items if isinstance(value, SequenceNode) else (value,)
