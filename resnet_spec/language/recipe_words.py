"""Settings of training by the names and in the forms that other trainers have for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resnet_spec.diagnostics import Applicability, Span
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.language.editing import Edits, is_flow, remove_entry, replace_text, replace_value, root_of, set_path
from resnet_spec.language.fixes import Fixes, Help, propose, together
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.restructuring import unwrap_entry
from resnet_spec.language.schemas import schema_document

_PATHS = {  # what others call a setting, and where a recipe has it
    **dict.fromkeys(("learning_rate", "lr", "base_lr", "initial_lr", "lr0", "max_lr"), "optimizer.lr"),
    **dict.fromkeys(("weight_decay", "wd", "l2"), "optimizer.weight_decay"),
    **dict.fromkeys(("momentum", "nesterov", "betas"), "optimizer.{}"),
    **dict.fromkeys(("batch", "bs", "batchsize", "train_batch_size", "mini_batch", "images_per_batch"), "batch_size"),
    **dict.fromkeys(("val_batch_size", "test_batch_size", "validation_batch_size"), "eval_batch_size"),
    **dict.fromkeys(("transforms", "transform", "augmentation", "augmentations", "data_augmentation"), "augment"),
    **dict.fromkeys(("optimiser", "optim", "solver", "opt"), "optimizer"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs", "nepochs"), "epochs"),
    **dict.fromkeys(("steps", "max_steps", "num_steps", "max_iters", "num_iterations", "iters"), "iterations"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule", "lr_policy", "sched"), "schedule"),
    **dict.fromkeys(("warmup_epochs", "warmup_length", "warm_up"), "warmup.length"),
    **dict.fromkeys(("patience", "early_stop", "early_stopping_patience"), "early_stopping.patience"),
    **dict.fromkeys(("val_split", "validation_split", "val_fraction", "valid_split", "validation"), "split.validation"),
    **dict.fromkeys(("test_split", "test_fraction", "test_size"), "split.test"),
    **dict.fromkeys(("grad_clip", "clip_grad", "gradient_clip", "clip", "max_grad_norm", "gradient_clip_val"), "clip_norm"),
    **dict.fromkeys(("grad_accum", "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum_steps"), "accumulate"),
    **dict.fromkeys(("random_seed", "manual_seed"), "seed"),
    **dict.fromkeys(("mean", "std"), "normalize.{}"),
    **dict.fromkeys(("image_size", "img_size", "imgsz", "input_size", "size"), "resize"),
    **dict.fromkeys(("mixup", "cutmix", "random_horizontal_flip", "random_rotation", "random_erasing"), "augment.{}"),
    **dict.fromkeys(("random_crop", "random_resized_crop", "rand_augment", "trivial_augment_wide"), "augment.{}"),
    **dict.fromkeys(("hflip", "horizontal_flip", "random_flip", "flip"), "augment.random_horizontal_flip"),
    **dict.fromkeys(("smoothing", "label_smooth"), "label_smoothing"),
    **dict.fromkeys(("ema_decay", "model_ema"), "ema.decay"),
    **dict.fromkeys(("grad_checkpointing", "gradient_checkpointing"), "segments"),
    **dict.fromkeys(("frozen", "freeze_layers"), "freeze"),
}
_OF_COMMAND_LINE = {
    **dict.fromkeys(("workers", "num_workers", "dataloader_workers"), "--workers"),
    **dict.fromkeys(("device", "gpu", "gpus", "accelerator"), "--device"),
    **dict.fromkeys(("output", "output_dir", "out", "save_dir", "log_dir", "run_dir"), "--out"),
    **dict.fromkeys(("data", "dataset", "data_dir", "data_path", "train_data"), "--data"),
    **dict.fromkeys(("resume", "checkpoint"), "--resume"),
}
_OF_SPEC = ("classes", "num_classes", "model", "arch", "architecture", "network", "stem", "stages", "head", "blocks", "dropout")
_WRAPPERS = ("train", "training", "recipe_settings", "hyperparameters", "hyp", "params", "config", "settings")
WORDS = {  # what others call a word of a field of a recipe, in lower case without `_`
    **dict.fromkeys(("float16", "16", "16mixed"), "fp16"),
    **dict.fromkeys(("bfloat16", "bf16mixed"), "bf16"),
    **dict.fromkeys(("float32", "float", "full", "32", "single"), "fp32"),
    **dict.fromkeys(("amp", "mixed", "mixedprecision", "true"), "auto"),
    **dict.fromkeys(("cosineannealinglr", "cosineannealing", "cos", "cosinedecay", "cosinelr"), "cosine"),
    **dict.fromkeys(("multisteplr", "step", "steplr", "stepdecay", "piecewise"), "multistep"),
    **dict.fromkeys(("onecyclelr", "onecycle", "1cycle"), "one_cycle"),
    **dict.fromkeys(("polynomiallr", "poly", "polynomialdecay", "linear"), "polynomial"),
    **dict.fromkeys(("none", "constantlr", "fixed"), "constant"),
}
_ARGUMENTS = {  # of optimizers
    **dict.fromkeys(("type", "name", "class", "_target_", "optimizer", "kind"), "op"),
    **dict.fromkeys(("learning_rate", "base_lr", "initial_lr", "rate"), "lr"),
    **dict.fromkeys(("wd", "l2", "decay", "weightdecay"), "weight_decay"),
}


def plain_word(word: str) -> str:
    """A word as the keys of `WORDS` are written."""
    return word.lower().replace("_", "").replace("-", "").replace(" ", "")


def find_setting(extra: str, root: MappingNode) -> Help | None:
    """What is meant by an unknown key at the top of a recipe; None if there is no idea."""
    entry = root.entries[extra]
    word, value = extra.lower(), entry.value
    if isinstance(value, MappingNode) and (word in _WRAPPERS or set(value.entries) & {"epochs", "batch_size", "optimizer"}):
        title = f"remove `{extra}:`, and take what is below it to the top"
        return title, propose(title, unwrap_entry(entry.key), "safe")
    if word in ("amp", "mixed_precision", "use_amp", "fp16", "bf16") and isinstance(value, ScalarNode):
        text = word if word in ("fp16", "bf16") else "auto"
        title = f"write `precision: {text}`"
        return title, propose(title, together(replace_text(entry.key, "precision"), replace_value(value, text)))
    if (path := _PATHS.get(word)) is not None:
        return _at(extra, path.format(word), root)
    if (option := _OF_COMMAND_LINE.get(word)) is not None:
        help = f"it is an option of the command, `train {option}`, and not part of a recipe"
        return help, propose(f"remove it: it is an option of the command, `train {option}`", remove_entry(entry.key))
    if word in ("loss", "criterion", "loss_fn"):
        help = "remove it: the loss is cross entropy, of which `label_smoothing` is the only setting"
        return help, propose(help, remove_entry(entry.key))
    if word in _OF_SPEC:
        return "it belongs to the network: write it in the spec, and not in a recipe", ()
    return None


def _at(extra: str, path: str, root: MappingNode) -> Help:
    """Move a setting to where a recipe has it."""
    entry, steps = root.entries[extra], path.split(".")
    title = f"did you mean `{path}`?"
    if not may_edit(entry.key):
        return title, ()
    own = root_of(entry.key.source)
    value = entry.value
    taken = own is not None and steps[0] in own.entries
    if len(steps) == 1 or isinstance(value, MappingNode):
        return title, propose(title, () if taken else replace_text(entry.key, steps[0]), "safe")
    text = _written(value)
    others = [] if own is None else [key for key in own.entries if key != extra and _PATHS.get(key.lower()) == steps[0]]
    if not text or others:  # it has to be renamed first
        return title, ()
    edits: Edits = together(replace_text(entry.key, steps[0]), replace_value(value, f"{{{steps[1]}: {text}}}"))
    if taken:
        edits = together(remove_entry(entry.key), set_path(entry.key.source, steps, text))
    return title, propose(title, edits, "safe")


def _written(value: YamlNode) -> str:
    """The text of a value on one line."""
    span = value.span
    if span.line != span.end_line or span.anchor is not None:
        return ""
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


def explain_setting(node: YamlNode, name: str) -> Help | None:
    """The help for a setting of another form than a recipe has, and its fixes; None if there is no idea."""
    field: Any = schema_document("recipe")
    for step in name.split("."):
        field = field.get("properties", {}).get(step)
        if not isinstance(field, dict):
            return None
    last, example = name.rpartition(".")[2], (field.get("examples") or [None])[0]
    if not isinstance(example, dict):
        return None
    written = ", ".join(f"{key}: {value}" for key, value in example.items())
    if isinstance(node, ScalarNode):
        first = next(iter(example))
        text = f"{{{written}}}"
        if first == "op":
            return None
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            text = f"{{{first}: {node.text}}}"
        elif isinstance(node.value, str):
            text = "{" + ", ".join(f"{key}: {node.text}" for key in example) + "}"
        help = f"{'for example' if text == f'{{{written}}}' else 'write'} `{last}: {text}`"
        sure: Applicability = "likely" if node.value is True else "safe"
        return help, propose(f"write `{last}: {text}`", replace_value(node, text), sure)
    return _augmentations(node, last) if isinstance(node, SequenceNode) else None


def _augmentations(node: SequenceNode, last: str) -> Help | None:
    """A list of names of augmentations, with the values that their documentation gives as examples."""
    fields: Any = schema_document("recipe")["properties"]["augment"]["properties"]
    names = [item.text for item in node.items if isinstance(item, ScalarNode)]
    if last != "augment" or len(names) != len(node.items) or not all(name in fields for name in names):
        return None
    parts = [f"{name}: {_flow(fields[name]['examples'][0])}" for name in names]
    help = f"write `augment: {{{', '.join(parts)}}}`"
    return help, propose(help, replace_value(node, f"{{{', '.join(parts)}}}") if is_flow(node) else ())


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {each}" for key, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def misnamed_arguments(optimizer: MappingNode) -> Sequence[tuple[Span, str, str, Fixes]]:
    """For each argument of an optimizer by another name: its place, the name, the right one, and the fix."""
    found: list[tuple[Span, str, str, Fixes]] = []
    for name, entry in optimizer.entries.items():
        meant = _ARGUMENTS.get(name.lower())
        if meant is not None and (
            meant not in optimizer.entries or optimizer.entries[meant].key.source is not entry.key.source
        ):
            title = f"did you mean `{meant}`?"
            found.append((entry.key, name, meant, propose(title, replace_text(entry.key, meant), "safe")))
    return found
