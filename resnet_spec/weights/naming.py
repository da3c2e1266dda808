"""Which tensor of a file is which of a network, by name: the beginning that names of a file have is found by what fits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text, join_first, join_words
from resnet_spec.ops import Shape

AVERAGE_COUNT = "n_averaged"  # torch.optim.swa_utils.AveragedModel has it next to `module.*`
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# Of two networks in a file that fit equally well, the one with such a name is the second choice: DINO evaluates its teacher,
# MoCo and BYOL the network that is trained by gradients.
_SECOND = re.compile(r"student|encoder_k|(?:^|\.)k\.|momentum|target|(?:^|[._])key")
_MOST_PARTS = 16  # of a beginning


@dataclass(frozen=True, slots=True)
class Naming:
    """The name in the file of each tensor of a network that has one.

    `beginning` is what was removed from names of the file; `outside` are the names that do not have it.
    """

    sources: dict[str, str]
    beginning: str = ""
    outside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def match_names(own: Mapping[str, Shape], found: Mapping[str, Shape]) -> Naming:
    """Match the names of a network with those of a file, both with their shapes.

    A beginning (`module.`, `backbone.`, `module.encoder_q.`, ...) is removed where more tensors fit without it. It need not be
    that of all names: a file may hold several networks, or more than a network. The names of DenseNets before torchvision 0.3
    (`norm.1` for `norm1`) are translated.
    """
    names = [name for name in found if name != AVERAGE_COUNT or name in own]
    if own.keys() == set(names):
        return Naming({name: name for name in names})
    ranked = _rank(own, found, names)
    if not ranked:
        return Naming({name: name for name in names if name in own})
    (beginning, dense), fitting = ranked[0]
    inside = [name for name in names if name.startswith(beginning)]
    sources: dict[str, str] = {}
    for name in inside:
        short = _translate(name[len(beginning) :]) if dense else name[len(beginning) :]
        if short in own:
            sources.setdefault(short, name)
    outside = tuple(name for name in names if not name.startswith(beginning))
    notes = []
    if beginning:
        which = "every name" if not outside else f"the {count_text(len(inside), 'name')} that have it"
        notes.append(f"`{printable(beginning)}` is removed from the beginning of {which}")
    if dense:
        notes.append("names of DenseNets of old torchvision are translated (`norm.1` to `norm1`)")
    text = ["; ".join(notes)] if notes else []
    if outside:
        text.append(
            f"of the file, {count_text(len(outside), 'tensor')} without this beginning: {list_groups(outside, beginning)}"
        )
        equal = [key for (key, _), count in ranked[1:] if count == fitting and not beginning.startswith(key)]
        if equal:
            others = join_words([f"`{printable(key)}`" for key in equal[:3]], "and")
            text.append(f"{others} fit equally well: `--weights-key {printable(equal[0].rstrip('.'))}` chooses")
    return Naming(sources, beginning, outside, tuple(text))


def _translate(name: str) -> str:
    return _DENSE_LAYER.sub(r"\1\2", name)


def _rank(own: Mapping[str, Shape], found: Mapping[str, Shape], names: Sequence[str]) -> list[tuple[tuple[str, bool], int]]:
    """Beginnings, and whether names of DenseNets are translated, with how many tensors fit: the best first."""
    fits: Counter[tuple[str, bool]] = Counter()
    hits: Counter[tuple[str, bool]] = Counter()
    sizes: Counter[str] = Counter()
    dense = any(_DENSE_LAYER.search(name) for name in names)
    for name in names:
        for at in _cuts(name):
            sizes[name[:at]] += 1
            for translated in (False, True) if dense else (False,):
                short = _translate(name[at:]) if translated else name[at:]
                if short in own:
                    hits[name[:at], translated] += 1
                    fits[name[:at], translated] += own[short] == found[name]
    several = len(names) > 1
    kept = [
        key
        for key in hits
        if not key[0]
        or (several and sizes[key[0]] == len(names) and fits[key])
        or (2 * hits[key] >= sizes[key[0]] and 2 * fits[key] >= min(len(own), sizes[key[0]]))
    ]
    kept.sort(key=lambda key: (-fits[key], -hits[key], _SECOND.search(key[0]) is not None, len(key[0]), key[1]))
    return [(key, fits[key]) for key in kept]


def _cuts(name: str) -> Iterator[int]:
    """Where a beginning of a name may end: nowhere, and behind each dot."""
    yield 0
    at = name.find(".") + 1
    for _ in range(_MOST_PARTS):
        if not at:
            return
        yield at
        at = name.find(".", at) + 1


def list_groups(names: Sequence[str], beginning: str = "") -> str:
    """Names by what they begin with, to the depth of `beginning`: "`module.encoder_k.*` (320), `module.queue`"."""
    depth = max(1, beginning.count("."))
    groups: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        groups.setdefault(".".join(parts[:depth]), []).append(name)
    texts = [
        f"`{printable(group[0])}`" if len(group) == 1 else f"`{printable(key)}.*` ({len(group):,})"
        for key, group in groups.items()
    ]
    return join_first(texts, 4)
