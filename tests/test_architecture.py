"""Who may import whom, and that nothing but building and training needs torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import resnet_spec

PACKAGE = Path(resnet_spec.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

RECIPES = ("frontend.library", "frontend.source", "frontend.schema", "frontend.resolve", "frontend.write")
VIEWS = ("outputs.report", "outputs.diagram", "outputs.render_dot")  # the outputs that need no torch

# A part of the package (the longest prefix counts), the parts it may import beside itself, and the packages beside the
# standard library.
TABLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "diagnostics": ((), ()),
    "files": ((), ()),
    "machine": ((), ()),
    "rendering": (("diagnostics",), ()),
    "frontend": (("diagnostics",), ("yaml", "jsonschema")),
    "ir": (("diagnostics",), ()),
    "ir.lower": (("diagnostics", "ir", "frontend.spec", "frontend.expressions"), ()),
    "outputs": (("diagnostics", "ir"), ()),
    "outputs.diagram": (("diagnostics", "ir"), ("graphviz",)),
    "outputs.render_dot": ((), ("pygraphviz",)),
    "outputs.torch_module": (("diagnostics", "ir"), ("torch",)),
    "outputs.export": (("diagnostics", "ir"), ("torch",)),
    "pipeline": (("frontend", "ir", "diagnostics"), ()),
    "torchvision_import": ((), ("torch",)),
    "training": (
        *(("diagnostics", "files", "machine", "torchvision_import", *RECIPES),),
        *(("torch", "numpy", "safetensors", "PIL", "matplotlib"),),
    ),
    "api": (
        *(("diagnostics", "files", "machine", "frontend", "ir", "outputs", "pipeline", "training"),),
        *(("torch", "safetensors"),),
    ),
    # Where a compiled network meets the trainer.
    "runs": (("api", "diagnostics", "files", "ir", "outputs", "pipeline", "training"), ("torch",)),
    "trained": (("api", "diagnostics", "ir", "machine", "pipeline", "runs", "training"), ("torch", "numpy")),
    # Views of what `pipeline`, `api` and the trainer give; never torch.
    "cli": (
        *(("api", "pipeline", "rendering", "diagnostics", "files", "frontend", "ir", "runs", "trained", "training", *VIEWS),),
        *(("click",),),
    ),
    "": (("api", "pipeline", "diagnostics", "cli", "runs", "trained"), ()),
}


def part_of(module: str) -> str:
    """The row of the table that a module of the package belongs to."""
    return max((part for part in TABLE if not part or module == part or module.startswith(part + ".")), key=len)


def imports(path: str) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, anywhere in it; and whether at the top, when the file itself is imported."""
    module = path.removesuffix(".py").replace("/", ".")
    package = module.removesuffix(".__init__") if module.endswith("__init__") else module.rpartition(".")[0]
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".") if package else []
                base = ".".join(["resnet_spec", *parts[: len(parts) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                is_module = (PACKAGE.parent / inner.replace(".", "/")).with_suffix(".py").is_file()
                yield (inner if is_module else base), id(node) in top


def within(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(part + ".") for part in parts)


@pytest.mark.parametrize("path", FILES)
def test_imports_are_those_of_the_table(path: str) -> None:
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__").removesuffix("__init__")
    part = part_of(module)
    inside, outside = TABLE[part]
    refused: list[str] = []
    for name, _ in imports(path):
        root, _, rest = name.partition(".")
        if root == "resnet_spec":
            own = within(rest, (part,)) and not (part == "outputs" and rest != module)
            if rest and not own and not within(rest, inside):
                refused.append(name)
        elif root not in sys.stdlib_module_names and root not in outside:
            refused.append(name)
    assert refused == []


def test_every_part_of_the_table_that_exists_is_looked_at() -> None:
    """A table that no file falls under would hold nothing."""
    parts = {
        part_of(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__").removesuffix("__init__")) for path in FILES
    }
    assert {
        "diagnostics",
        "rendering",
        "frontend",
        "ir",
        "ir.lower",
        "outputs",
        "outputs.torch_module",
        "pipeline",
        "cli",
    } <= parts


@pytest.mark.parametrize("path", ["api.py", "pipeline.py", "__init__.py", *(p for p in FILES if p.startswith(("cli/", "ir/")))])
def test_torch_is_imported_where_it_is_used_and_not_before(path: str) -> None:
    early = [name for name, top in imports(path) if top]
    assert not [name for name in early if name.startswith(("torch", "safetensors", "resnet_spec.outputs.torch_module"))]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "resnet18"],
        ["summary", "resnet50", "--memory", "--field", "--arithmetic"],
        ["summary", "block:basic", "--input", "64x56x56", "--set", "width=64", "--format", "json"],
        ["schema"],
        ["list"],
        ["list", "--blocks"],
        ["--help"],
        ["build", "--help"],
        ["draw", "resnet18", "-o", "-", "--type", "dot"],
        ["build", "resnet18", "--dump-ir"],
        None,
    ],
    ids=lambda arguments: " ".join(arguments) if arguments else "import resnet_spec",
)
def test_torch_stays_out(arguments: list[str] | None) -> None:
    """In a process of its own: another test may have imported torch here."""
    program = "import sys, resnet_spec\n"
    if arguments is not None:
        program += f"sys.argv[1:] = {arguments!r}\nfrom resnet_spec.cli import main\n"
        program += "try:\n    main()\nexcept SystemExit as done:\n    assert done.code == 0, done.code\n"
    program += "heavy = {'torch', 'torchvision', 'numpy', 'safetensors'} & set(sys.modules)\nassert not heavy, heavy\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
