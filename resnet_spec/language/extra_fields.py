"""Fields that other libraries have on an operation, and that are operations of their own here: `activation: relu`."""

from __future__ import annotations

from collections.abc import Mapping

from resnet_spec.diagnostics import SYNONYMS, Span, closest
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.language.editing import Edits, locate, remove_entries, remove_entry
from resnet_spec.language.fixes import DIGITS, Fixes, propose, together
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode
from resnet_spec.language.restructuring import insert_entries_after
from resnet_spec.language.schemas import operation_names

_WORDS = {  # what such a field is called, and the kind of operation that it is
    **dict.fromkeys(("norm", "bn", "use_bn", "batchnorm", "batch_norm", "use_batchnorm", "normalization"), "norm"),
    **dict.fromkeys(("norm_layer", "use_norm", "with_bn", "batch_normalization"), "norm"),
    **dict.fromkeys(("act", "activation", "act_layer", "nonlinearity", "activation_fn", "use_act", "act_fn", "relu"), "act"),
    **dict.fromkeys(("dropout", "drop", "dropout_rate", "drop_rate"), "dropout"),
}
_ORDER = ("norm", "act", "dropout")
_NAMES = {"norm": "bn", "act": "relu", "dropout": "drop"}


def explain_extra_field(field: str, use: Span | None, body: MappingNode) -> tuple[str, Fixes] | None:
    """The help for a field that is an operation of its own, and the fix that moves all such fields of a use behind it."""
    kind = _WORDS.get(field.lower())
    if kind is None or use is None or not may_edit(body.entries[field].key):
        return None
    found = {each: (name, entry) for name, entry in body.entries.items() if (each := _WORDS.get(name.lower())) is not None}
    texts = {each: _operation(each, entry) for each, (_, entry) in found.items()}
    text = texts.get(kind)
    value = body.entries[field].value
    if isinstance(value, ScalarNode) and value.text.lower() in ("softmax", "log_softmax"):
        help = "remove it: the loss of training contains the softmax"
        return help, propose(help, remove_entry(body.entries[field].key))
    if text is None:
        return f"an operation has no `{field}`: remove it", propose("remove it", remove_entry(body.entries[field].key), "safe")
    located = locate(use)
    names = _names_behind(located.name, texts, located.parent.entries) if located is not None else {}
    example = f"{names.get(kind, _NAMES[kind])}: {text}"
    help = f"it is an operation of its own: write `{example}` behind it"
    removed = remove_entries([entry.key for _, entry in found.values()])
    added: Edits = insert_entries_after(use, [(names[each], texts[each] or "") for each in _ORDER if each in names])
    return help, propose(help, together(removed, added), "safe" if len(names) == len(found) else "likely")


def _operation(kind: str, entry: Entry) -> str | None:
    """The operation that a value names: `{op: dropout, p: 0.5}` for `0.5`; None for none."""
    value = entry.value
    if not isinstance(value, ScalarNode) or value.value in (None, False) or value.text.lower() in ("none", "linear"):
        return None
    if kind == "dropout":
        return f"{{op: dropout, p: {value.text}}}" if isinstance(value.value, float) else "dropout"
    if value.value is True:
        return kind
    names = sorted({*operation_names(), "norm", "act"})
    return closest(value.text, names, SYNONYMS) or kind


def _names_behind(name: str, texts: Mapping[str, str | None], taken: Mapping[str, object]) -> dict[str, str]:
    """Names for the new operations, with the number of the one before them: `bn1` and `relu1` behind `conv1`."""
    number = name.removeprefix(name.rstrip(DIGITS))
    names = {}
    for kind, text in texts.items():
        if text is None:
            continue
        candidates = (f"{_NAMES[kind]}{number}", f"{name}_{_NAMES[kind]}")
        names[kind] = next((each for each in candidates if each not in taken), f"{name}_{kind}")
    return names
