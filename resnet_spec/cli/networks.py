"""What is known of each shipped network, without compiling it: from a file that is written when a network changes.

`language/library/networks.json` holds the figures of each network, the files that it is made of, and a hash of their texts. An
entry whose texts have changed, and a network without one, are compiled instead: the file can be stale, but not wrong. `make
networks` writes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from resnet_spec.language.library import ambiguous_names, library_files, networks_file, shipped_names, shipped_root

# Intervals of pixels: least, most (None: no end), period, remainders by the period
Intervals = list[tuple[int, int | None, int, list[int]]]
_SIZE_WORDS = frozenset(("atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xs", "s", "m", "l", "xl"))


@dataclass(frozen=True, slots=True)
class ShippedNetwork:
    """The figures of a shipped network at its own `input`, (C, H, W).

    `rectangles` are the image sizes that it accepts: any height of the first of a pair with any width of the second; None if
    they are not known. `weights` are published in a place of `weights_kind` (`torchvision`, `hf`); `top1` is their accuracy in
    percent. `files` are the texts that it is made of, its own first, and `digest` is their hash.
    """

    name: str
    about: str
    input: tuple[int, int, int]
    output: tuple[int, ...]
    params: int
    macs: int
    accepts: str
    rectangles: tuple[tuple[Intervals, Intervals], ...] | None
    recipe: str
    weights_kind: str
    weights: str
    top1: float | None
    files: tuple[str, ...]
    digest: str

    @property
    def family(self) -> str:
        """The folder, and what networks that differ in size have in common: `resnet`, `torchvision/efficientnet`."""
        return family_of(self.name)

    @property
    def short_name(self) -> str:
        """The name without its folder, if that is the name of one network only."""
        return short_name(self.name)

    def accepts_image(self, height: int, width: int) -> bool:
        """Whether images of `height` x `width` pixels are accepted."""
        if self.rectangles is None:
            from resnet_spec import compiler

            return (height, width) in compiler.analyze(compiler.find(self.name)).accepted
        return any(_contains(heights, height) and _contains(widths, width) for heights, widths in self.rectangles)


def _contains(sizes: Intervals, n: int) -> bool:
    return any(least <= n and (most is None or n <= most) and n % period in rests for least, most, period, rests in sizes)


def family_of(name: str) -> str:
    """The family of a shipped network: its folder, and its name up to the first number or word that says how large it is.

    The version of a family is no size: `efficientnet_v2_s` is one of `efficientnet_v2`.
    """
    folder, slash, last = name.rpartition("/")
    kept: list[str] = []
    for part in last.split("_"):
        if part in _SIZE_WORDS and kept:
            break
        if re.fullmatch(r"[a-z]*v\d", part) or part.isalpha():
            kept.append(part)
            continue
        word = re.sub(r"\d+[a-z]*$", "", part)
        if len(word) > 1 or not kept:
            kept.append(word)
        break
    return folder + slash + "_".join(kept)


def short_name(name: str) -> str:
    """The name of a shipped network without its folder, if that is the name of one network only."""
    short = name.rpartition("/")[2]
    return name if ambiguous_names(short) or short in shipped_names() else short


def read_networks() -> tuple[ShippedNetwork, ...]:
    """All shipped networks, by name."""
    known = _read_cache()
    texts = _Texts()
    return tuple(
        network if (network := known.get(name)) is not None and texts.digest(network.files) == network.digest else compute(name)
        for name in shipped_names()
    )


def compute(name: str) -> ShippedNetwork:
    """The figures of a shipped network, by compiling it."""
    from resnet_spec import compiler
    from resnet_spec.language.extends import Location, read_chain

    target = compiler.find(name)
    analysis = compiler.analyze(target)
    spec, accepted = analysis.spec, analysis.accepted
    chain = read_chain(target.source, "spec", None if target.folder is None else Location(target.folder, target.root))
    files = tuple(document.span.source.name.removeprefix("specs/") for document in reversed(chain.documents))
    rectangles = [tuple([_plain(sizes) for sizes in rectangle]) for rectangle in accepted.rectangles]
    published = spec.weights
    return _from_data(
        {
            "name": name,
            "about": spec.about,
            "input": analysis.input,
            "output": analysis.output,
            "params": analysis.total.params,
            "macs": analysis.total.macs,
            "accepts": accepted.describe().removesuffix(" pixels"),
            "rectangles": None if accepted.unsolved else rectangles,
            "recipe": spec.recipe or "",
            "weights_kind": "" if published is None else published.kind,
            "weights": "" if published is None else published.name,
            "top1": None if published is None else published.top1,
            "files": files,
            "digest": _Texts().digest(files),
        }
    )


def _plain(sizes: Iterable[Any]) -> Intervals:
    return [(piece.least, piece.most, piece.period, sorted(piece.residues)) for piece in sizes]


def write_networks(networks: Sequence[ShippedNetwork]) -> str:
    """The text of `networks.json`: one line for each network."""
    lines = [json.dumps(asdict(network), ensure_ascii=False, separators=(",", ":")) for network in networks]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _read_cache() -> dict[str, ShippedNetwork]:
    try:
        rows = json.loads(networks_file().read_text(encoding="utf-8"))
        return {network.name: network for network in map(_from_data, rows)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _from_data(row: dict[str, Any]) -> ShippedNetwork:
    rectangles = row["rectangles"]
    if rectangles is not None:
        rectangles = tuple([tuple([[tuple(piece) for piece in sizes] for sizes in rectangle]) for rectangle in rectangles])
    values = {field.name: row[field.name] for field in fields(ShippedNetwork)}
    lists = {key: tuple(row[key]) for key in ("input", "output", "files")}
    return ShippedNetwork(**{**values, **lists, "rectangles": rectangles})


class _Texts:
    """Hashes of shipped texts: each file is read once."""

    def __init__(self) -> None:
        self.hashes: dict[str, bytes] = {}

    def digest(self, names: Iterable[str]) -> str:
        """The hash of some shipped specs, and of the library's blocks, which any of them may use."""
        whole = hashlib.sha256(_hash_of_blocks())
        for name in names:
            whole.update(self._hash(name))
        return whole.hexdigest()[:16]

    def _hash(self, name: str) -> bytes:
        if name not in self.hashes:
            self.hashes[name] = _hash_of(shipped_root() / name)
        return self.hashes[name]


@cache
def _hash_of_blocks() -> bytes:
    whole = hashlib.sha256()
    for path in library_files():
        whole.update(_hash_of(path))
    return whole.digest()


def _hash_of(path: Path) -> bytes:
    """The hash of a text, whatever its line ends."""
    try:
        return hashlib.sha256(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n")).digest()
    except OSError:
        return b""


def by_family(networks: Iterable[ShippedNetwork]) -> Iterator[tuple[str, list[ShippedNetwork]]]:
    """Networks by family: those without a folder first; in a family, by parameters."""
    families: dict[str, list[ShippedNetwork]] = {}
    for network in networks:
        families.setdefault(network.family, []).append(network)
    for family in sorted(families, key=lambda family: (family.count("/"), family)):
        yield family, sorted(families[family], key=lambda network: (network.params, network.macs, network.name))
