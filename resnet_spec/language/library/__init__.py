"""The texts that the package ships: the blocks of the library, the specs and the recipes, both in a wheel and in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_spec.diagnostics import DocumentKind, Source

if TYPE_CHECKING:
    from resnet_spec.language.nodes import MappingNode

_LIBRARY = Path(__file__).resolve().parent
_PACKAGE = _LIBRARY.parent.parent
_BLOCKS = _LIBRARY / "blocks"


@cache
def library_block_names() -> tuple[str, ...]:
    """The names of the library's blocks, sorted."""
    return tuple(sorted(path.stem for path in _BLOCKS.glob("*.yaml")))


@cache
def library_block(name: str) -> MappingNode | None:
    """The body of a library block, or None if there is none of this name."""
    if name not in library_block_names():
        return None
    from resnet_spec.language.nodes import MappingNode
    from resnet_spec.language.reader import parse  # importing PyYAML takes time, and names of networks need none

    path = _BLOCKS / f"{name}.yaml"
    source = Source(f"library/blocks/{name}.yaml", path.read_text(encoding="utf-8"), "library")
    body, _ = parse(source)
    if not isinstance(body, MappingNode):
        raise TypeError(f"{path} is not a mapping")
    return body


def library_files() -> tuple[Path, ...]:
    """The files of the library's blocks, sorted by name."""
    return tuple(_BLOCKS / f"{name}.yaml" for name in library_block_names())


def networks_file() -> Path:
    """The file with the figures of the shipped networks, which `resnet-spec list` reads."""
    return _LIBRARY / "networks.json"


@cache
def shipped_root(kind: DocumentKind = "spec") -> Path:
    """The folder of the shipped specs (inside the package in a wheel, next to it in a checkout), or of the recipes."""
    if kind == "recipe":
        return _LIBRARY / "recipes"
    inside = _PACKAGE / "specs"
    return inside if inside.is_dir() else _PACKAGE.parent / "specs"


@cache
def shipped_names(kind: DocumentKind = "spec") -> tuple[str, ...]:
    """The names of the shipped networks (`resnet50`, `variants/...`) or recipes, sorted; mixins are not networks."""
    return tuple(sorted(name for name in _shipped(kind) if not name.startswith("mixins/")))


@cache
def shipped_mixins() -> tuple[str, ...]:
    """The names of the shipped patches to networks (`mixins/...`), sorted."""
    return tuple(sorted(name for name in _shipped("spec") if name.startswith("mixins/")))


def _shipped(kind: DocumentKind) -> list[str]:
    root = shipped_root(kind)
    return [path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml")]


def shipped_name(path: Path, kind: DocumentKind = "spec") -> str:
    """The name of a shipped file in messages, independent of where the package is installed: `specs/resnet50.yaml`."""
    return f"{kind}s/{path.resolve().relative_to(shipped_root(kind).resolve()).as_posix()}"


def shipped_path(name: str, kind: DocumentKind = "spec") -> Path | None:
    """The file of a shipped spec, mixin or recipe, named with or without `.yaml`; None for an unknown name.

    A network is also found without its folder, unless several folders have one of its name (`ambiguous_names`).
    """
    root = shipped_root(kind)
    parts = name.removesuffix(".yaml").split("/")
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
        return None
    path = root.joinpath(*parts[:-1], parts[-1] + ".yaml")
    if is_file(path):
        return path
    found = _in_folders(kind).get(name.removesuffix(".yaml"), ())
    return root / f"{found[0]}.yaml" if len(found) == 1 else None


def ambiguous_names(name: str, kind: DocumentKind = "spec") -> tuple[str, ...]:
    """The shipped networks of several folders that a name without a folder may mean; empty where it means one, or none."""
    found = _in_folders(kind).get(name.removesuffix(".yaml"), ())
    return found if len(found) > 1 and not is_file(shipped_root(kind) / f"{name.removesuffix('.yaml')}.yaml") else ()


@cache
def _in_folders(kind: DocumentKind) -> dict[str, tuple[str, ...]]:
    """The names of shipped networks in folders, by their last part."""
    found: dict[str, list[str]] = {}
    for name in shipped_names(kind):
        if "/" in name:
            found.setdefault(name.rpartition("/")[2], []).append(name)
    return {short: tuple(names) for short, names in found.items()}


def is_file(path: Path) -> bool:
    """Whether a path is a file; false for an impossible path, such as one that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_readable(path: Path) -> bool:
    """Whether a path is something to read: a file, a pipe or a device."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; false for an impossible path, such as one that is too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
