"""The one door to weights, local or published: what `--weights` names, in every command and in Python.

A path is local. `torchvision:NAME` are weights of torchvision, `hf:ORG/NAME[@REVISION]` those in a repository of the Hugging
Face hub, and `published` those that the spec names by its own key `weights`. Only these may be downloaded.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_spec.compiler import Analysis
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.library import shipped_names, shipped_root
from resnet_spec.weights import hub, torchvision_enums
from resnet_spec.weights.file_names import WEIGHT_SUFFIXES
from resnet_spec.weights.hub_config import CONFIG, read_config
from resnet_spec.weights.metadata import from_metadata, read_preparation
from resnet_spec.weights.reading import RUN_FILE, StoredWeights, open_weights, require_file

PUBLISHED = "published"
WeightsLike = str | Path
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9_]")
_ENUM = re.compile(r"\w+_Weights(\.\w+)?")
_DECLARED = re.compile(r"^weights: *\{(torchvision|hf): *([^,}\s]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """A file or a folder."""

    path: Path


@dataclass(frozen=True, slots=True)
class TorchvisionWeights:
    """Weights that torchvision publishes: `ResNet50_Weights.IMAGENET1K_V2`."""

    name: str


@dataclass(frozen=True, slots=True)
class HubWeights:
    """Weights in a repository of the Hugging Face hub, `org/name`, at a branch, a tag or a commit; None: its main branch."""

    repo: str
    revision: str | None


WeightsSource = LocalWeights | TorchvisionWeights | HubWeights


def open_source(given: WeightsLike, key: str | None = None, analysis: Analysis | None = None) -> StoredWeights:
    """Open what `--weights` names; published weights are downloaded if they are not in the cache.

    Args:
        given: a path, `torchvision:NAME`, `hf:ORG/NAME[@REVISION]` or `published`. A `Path` is always local, and so is a
            string that names an existing file or folder.
        key: the part of a checkpoint of torch that holds the weights.
        analysis: the network that the weights are for. `published` are the weights that its spec names.

    Raises:
        ArgumentError: there is no such file, or there are no such weights; a package is missing; `published` without a spec
            that names weights.
        WeightsError: the file is something else than weights, has another hash, or cannot be downloaded.
    """
    source = parse_source(given, analysis)
    match source:
        case LocalWeights(path):
            stored = open_weights(path, key)
            if path.is_dir() and not (path / RUN_FILE).exists() and (path / CONFIG).is_file():
                stored = replace(stored, origin=read_config(path / CONFIG, "", None if analysis is None else analysis.input))
            return stored
        case TorchvisionWeights(name):
            file, origin, notes = torchvision_enums.find_torchvision(name)
        case HubWeights(repo, revision):
            file, origin, notes = hub.find_hub(repo, revision, None if analysis is None else analysis.input)
    stored = open_weights(file, key)
    return replace(stored, origin=origin, notes=(*notes, *stored.notes))


def parse_source(given: WeightsLike, analysis: Analysis | None = None) -> WeightsSource:
    """Distinguish local weights from published ones. Raises ArgumentError for a text that is neither, with what was meant."""
    if isinstance(given, Path):
        return LocalWeights(given)
    if not isinstance(given, str) or not given.strip():
        raise wrong_argument(f"`weights` takes a path, `torchvision:NAME`, `hf:ORG/NAME` or `published`, not {quote(given)}")
    try:
        if Path(given).exists():
            return LocalWeights(Path(given))
    except (OSError, ValueError):
        return LocalWeights(Path(given))
    kind, colon, rest = given.partition(":")
    if given == PUBLISHED:
        return _published(analysis)
    if colon and kind == torchvision_enums.SCHEME:
        return TorchvisionWeights(rest)
    if colon and kind == hub.SCHEME:
        return _hub(rest)
    if help := _guess(given):
        message = f"there is no file or folder {printable(given)}, and it names no published weights"
        raise ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])
    return LocalWeights(Path(given))


def check_source(given: WeightsLike, analysis: Analysis | None = None) -> None:
    """Raise what `open_source` would for a text that names nothing; nothing is read or downloaded."""
    source = parse_source(given, analysis)
    if isinstance(source, LocalWeights):
        require_file(source.path)


def _hub(text: str) -> HubWeights:
    repo, at, revision = text.partition("@")
    if not _REPO.fullmatch(repo) or (at and not revision.strip()):
        message = f"`hf:{printable(text)}` is no model of the Hugging Face hub"
        help = f"write hf:ORG/NAME or hf:ORG/NAME@REVISION: {hub.EXAMPLE}"
        raise ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])
    return HubWeights(repo, revision or None)


def _published(analysis: Analysis | None) -> WeightsSource:
    if analysis is None or analysis.spec.weights is None:
        what = "no spec is given" if analysis is None else f"{printable(analysis.spec.name)} does not name any"
        message = f"`published` are the weights that a spec names by its key `weights`, and {what}"
        help = "name weights: a path, `torchvision:NAME` or `hf:ORG/NAME`"
        raise ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])
    published = analysis.spec.weights
    return TorchvisionWeights(published.name) if published.kind == torchvision_enums.SCHEME else _hub(published.name)


def _guess(given: str) -> str:
    """What was probably meant by a text that is neither a path nor a source."""
    if page := re.match(r"https?://(www\.)?(huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)", given):
        return f"write `hf:{printable(page[3])}`"
    if re.match(r"\w+://", given):
        return "addresses are not downloaded: download the file, and name it; or `torchvision:NAME`, `hf:ORG/NAME`"
    kind, colon, rest = given.partition(":")
    if colon and kind.lower() in ("torchvision", "tv", "torchvision.models"):
        return f"write `torchvision:{printable(rest)}`"
    if colon and kind.lower() in ("hf", "hf_hub", "hf-hub", "hub", "huggingface", "timm"):
        return f"write `hf:{printable(rest if '/' in rest else f'timm/{rest}')}`"
    if _ENUM.fullmatch(given):
        return f"write `torchvision:{printable(given)}`"
    is_file = Path(given).suffix.lower() in (*WEIGHT_SUFFIXES, ".json")
    if _REPO.fullmatch(given.partition("@")[0]) and not is_file and not Path(given).parent.exists():
        return f"if it is a model of the Hugging Face hub, write `hf:{printable(given)}`"
    return ""


def source_of(weights: StoredWeights) -> tuple[str, str]:
    """Where weights were published, as a text for `--weights`, and their license; either may be empty.

    Weights in a file know it where they were published before they were written to it, or trained further.
    """
    if weights.origin is not None and weights.origin.source:
        return weights.origin.source, weights.origin.license
    stored = from_metadata(weights.metadata)
    license = weights.origin.license if weights.origin is not None else ""
    return stored.get("source", ""), stored.get("license", license)


def preparation_of(weights: StoredWeights, channels: int | None = None) -> Preparation | None:
    """How images are prepared for weights, as their publisher says it or as the file records it.

    None where neither does, or where it is of images of other `channels`.
    """
    found = None if weights.origin is None else weights.origin.preparation
    if found is None:
        with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
            found = read_preparation(json.loads(from_metadata(weights.metadata)["preparation"]))
    return found if found is None or channels in (None, found.channels) else None


def suggest_spec(given: WeightsLike, name: str) -> str:
    """Which shipped specs are networks of published weights, as a sentence; empty if none is, or only `name`."""
    if isinstance(given, Path):
        return ""
    try:
        source = parse_source(given)
    except ResnetSpecError:
        return ""
    match source:
        case TorchvisionWeights(weights):
            wanted = (torchvision_enums.SCHEME, weights.partition(".")[0])
        case HubWeights(repo, _):
            wanted = (hub.SCHEME, repo.partition(".")[0])
        case _:
            return ""
    found = [each for each in shipped_names() if wanted in _declared(shipped_root() / f"{each}.yaml")]
    if not found or name in found:
        return ""
    return f"the shipped network of these weights is {join_words([f'`{each}`' for each in found[:3]], 'or')}"


def _declared(path: Path) -> list[tuple[str, str]]:
    """The kind of weights that a shipped spec declares, and the name of their network."""
    return [(kind, name.partition(".")[0]) for kind, name in _DECLARED.findall(path.read_text(encoding="utf-8"))]
