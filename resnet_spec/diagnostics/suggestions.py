"""Suggestions for unknown words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

MOST_COMPARED = 1000  # known words that an unknown one is compared with: many mistakes in a long text would take minutes
MANY = 100
MOST_SIMILAR = 50


def closest(word: str, known: Iterable[str], synonyms: dict[str, str] | None = None) -> str | None:
    """The known word that was most likely meant by `word`: a common synonym, else the closest spelling."""
    choices = list(islice(known, MOST_COMPARED))
    if synonyms and synonyms.get(word.lower()) in choices:
        return synonyms[word.lower()]
    lowered = {choice.lower(): choice for choice in choices}
    import difflib  # importing it takes time, and only a spec with a mistake needs it

    found = difflib.get_close_matches(word.lower(), _candidates(word.lower(), list(lowered)), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def _candidates(word: str, choices: list[str]) -> list[str]:
    """The words to compare with `word`: of many, those with the same first or second half, which one typo leaves intact."""
    if len(choices) <= MANY:
        return choices
    half = len(word) // 2
    first, last = word[:half], word[half:]
    return list(islice((each for each in choices if each.startswith(first) or each.endswith(last)), MOST_SIMILAR))


def suggestion(word: str, known: Sequence[str], synonyms: dict[str, str] | None = None, most: int = 12) -> str:
    """The help for an unknown word: the closest known word, else up to `most` of the known words; empty if there are none."""
    if (near := closest(word, known, synonyms)) is not None:
        return f"did you mean `{near}`?"
    if not known or not most:
        return ""
    shown = ", ".join(f"`{choice}`" for choice in known[:most])
    return f"known here: {shown}" + (f", and {len(known) - most} more" if len(known) > most else "")


# Names from other libraries and papers, with their equivalents in this language.
SYNONYMS: dict[str, str] = {
    "filters": "out_channels",
    "planes": "out_channels",
    "channels": "out_channels",
    "num_filters": "out_channels",
    "features": "out_features",
    "units": "out_features",
    "kernel": "kernel_size",
    "ksize": "kernel_size",
    "strides": "stride",
    "pad": "padding",
    "pads": "padding",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "blocks": "depth",
    "repeats": "depth",
    "num_blocks": "depth",
    "inplanes": "in_channels",
    "conv": "conv2d",
    "convolution": "conv2d",
    "bn": "batch_norm",
    "batchnorm": "batch_norm",
    "batch_norm2d": "batch_norm",
    "batchnorm2d": "batch_norm",
    "ln": "layer_norm",
    "gn": "group_norm",
    "swish": "silu",
    "fc": "linear",
    "dense": "linear",
    "maxpool": "max_pool2d",
    "max_pool": "max_pool2d",
    "avgpool": "avg_pool2d",
    "avg_pool": "avg_pool2d",
    "global_avg_pool": "adaptive_avg_pool2d",
    "gap": "adaptive_avg_pool2d",
    "num_classes": "classes",
    "cat": "concat",
    "mul": "multiply",
    "sum": "add",
    **dict.fromkeys(("flip", "hflip", "horizontal_flip", "random_flip"), "random_horizontal_flip"),
    "crop": "random_crop",
}
