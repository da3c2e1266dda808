"""Who may import whom: the layers of the package, no circles, and where torch is imported."""

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

# Recipes are YAML too, with positions, patches and a schema.
LANGUAGE = (
    "language.reader",
    "language.files",
    "language.merge",
    "language.patches",
    "language.schemas",
    "language.validation",
    "language.writer",
    "language.library",
    "language.editing",
    "language.fixes",
    "language.nodes",
    "language.recipe_words",
)  # recipes are YAML too
VIEWS = (
    "outputs.summary",
    "outputs.diagram",
    "outputs.difference_diagram",
    "outputs.render_dot",
)  # the outputs that need no torch

# A part of the package (the longest prefix counts): the other parts it may import, and the packages outside the standard
# library.
TABLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "diagnostics": ((), ()),
    "_system": (("diagnostics",), ("torch",)),
    "language": (("diagnostics", "_system.packages"), ("yaml", "jsonschema")),
    "ops": ((), ("torch",)),
    "graph": (("diagnostics", "ops"), ()),
    "analysis": (("diagnostics", "ops", "graph"), ()),
    "analysis.table": (("_system.packages", "ops", "analysis"), ("pandas",)),
    "lowering": (
        (
            *("diagnostics", "language.spec", "language.expressions", "language.library", "language.editing"),
            *("language.fixes", "language.restructuring", "language.reserved", "ops", "graph", "analysis.trace"),
        ),
        (),
    ),
    "lint": (
        (
            *("diagnostics", "language.spec", "language.expressions", "language.editing", "language.fixes"),
            *("ops", "graph", "analysis"),
        ),
        (),
    ),
    "compiler": (("diagnostics", "language", "ops", "graph", "lowering", "analysis", "lint"), ()),
    "comparison": (("diagnostics", "language", "ops", "graph", "analysis", "compiler"), ()),
    "comparison.align": (("ops", "graph"), ()),
    "outputs": (("diagnostics", "ops", "graph", "analysis"), ()),
    "outputs.diagram": (("diagnostics", "_system.packages", "ops", "graph", "analysis"), ("graphviz",)),
    "outputs.difference_diagram": (("diagnostics", "ops", "graph", "analysis", "comparison", "outputs.diagram"), ()),
    "outputs.graphviz_program": ((), ("pygraphviz",)),
    "outputs.render_dot": (("diagnostics", "_system", "outputs.diagram"), ("pygraphviz",)),
    "outputs.exporting": (("diagnostics", "ops", "compiler", "outputs.exporting"), ("torch",)),
    "outputs.exporting.source_file": (
        ("diagnostics", "outputs.exporting", "outputs.python_check", "outputs.python_source"),
        ("torch",),
    ),
    "outputs.exporting.formats": (("diagnostics", "_system.packages"), ()),
    "outputs.exporting.onnx_file": (("diagnostics", "outputs.exporting"), ("torch", "onnx", "onnxruntime")),
    "outputs.exporting.tensors": (("diagnostics", "outputs.exporting", "weights.file"), ("torch",)),
    "outputs.exporting.snippet": (("outputs.exporting", "data.preparation"), ()),
    "outputs.torch_module": (("diagnostics", "ops", "graph", "analysis"), ("torch",)),
    "outputs.source": (("ops", "graph"), ()),
    "outputs.python_source": (("ops", "graph", "compiler", "outputs.source"), ()),
    "outputs.python_check": (("compiler", "outputs.torch_module"), ("torch",)),
    "data": (("diagnostics", "_system"), ("numpy", "PIL", "simplejpeg", "torch")),
    "weights": (
        (
            *("diagnostics", "_system", "language.reader", "language.nodes", "language.files", "language.writer"),
            *("language.library", "data", "compiler", "comparison.align", "graph.model", "ops"),
        ),
        ("torch", "torchvision", "safetensors", "huggingface_hub"),
    ),
    # What differs from the network that weights were trained in, in words.
    "weights.other_network": (("diagnostics", "compiler", "comparison", "weights.metadata"), ()),
    "report": (("diagnostics", "_system", "data"), ("numpy", "matplotlib")),
    "training": (
        *(("diagnostics", "_system", *LANGUAGE, "data", "weights", "report"),),
        *(("torch", "numpy"),),
    ),
    "training.options": (("diagnostics", "language.spec", "training.recipe"), ("torch",)),
    # Where a compiled network meets the trainer, which does not depend on specs and graphs.
    **dict.fromkeys(
        ("training.runs", "training.spec_subject"),
        (
            ("diagnostics", "_system", "ops", "analysis", "compiler", "outputs", "data", "weights", "report", "training"),
            ("torch",),
        ),
    ),
    "inference": (
        *(("diagnostics", "_system", "ops", "compiler", "outputs", "data", "weights", "training", "report"),),
        *(("torch", "numpy"),),
    ),
    "inference.trained": (
        *(("diagnostics", "ops", "compiler", "outputs", "language", "weights", "training", "inference"),),
        *(("torch",),),
    ),
    # Where a network with its weights meets the formats; a folded network is a spec, which is written as such.
    "inference.export_changes": (
        ("diagnostics", "graph", "compiler", "outputs"),
        ("torch",),
    ),
    "inference.exporting": (
        (
            *("", "diagnostics", "_system", "ops", "graph", "compiler", "language.writer", "outputs", "data", "weights"),
            "inference",
        ),
        ("torch",),
    ),
    "api": (
        (
            *("diagnostics", "_system", "language", "ops", "analysis.single_block", "compiler", "comparison", "outputs"),
            *("weights", "training", "inference"),
        ),
        ("torch",),
    ),
    "cli": (
        (
            *("api", "compiler", "comparison", "diagnostics", "_system", "language", "ops", "graph", "analysis"),
            *("training.recipe", *VIEWS),
        ),
        ("click",),
    ),
    "cli.export_command": (("cli", "api", "compiler", "diagnostics", "_system", "inference", "outputs.exporting"), ("click",)),
    "cli.watching": (("cli", "diagnostics", "_system", "language"), ("click", "watchfiles")),
    "cli.progress": (("training", "report"), ("click",)),
    "cli.train_command": (
        ("cli", "api", "compiler", "diagnostics", "_system", "training", "weights", "report", "analysis"),
        ("click",),
    ),
    "cli.weights_difference": (("cli", "compiler", "comparison", "diagnostics", "_system", "weights"), ()),
    "cli.weights_plan": (("cli", "api", "compiler", "diagnostics", "_system", "training", "weights"), ("click",)),
    "cli.weights_options": (("cli", "compiler", "diagnostics", "inference"), ("click",)),
    "cli.eval_command": (("cli", "api", "diagnostics", "_system", "inference", "report"), ("click",)),
    "cli.predict_command": (("cli", "api", "diagnostics", "_system", "inference", "report"), ("click",)),
    "cli.stats_command": (("cli", "api", "diagnostics", "_system", "inference", "data", "report"), ("click",)),
    "": (
        (
            *("api", "compiler", "comparison", "diagnostics", "cli", "language.spec", "outputs.torch_module", "training"),
            "inference.exporting",
        ),
        (),
    ),
}

# What turns a spec into a graph and its facts. It also runs where only the standard library and PyYAML are.
COMPILING_HALF = (
    *("diagnostics", "language", "ops", "graph", "lowering", "analysis", "lint", "comparison", "compiler"),
    *("outputs.diagram", "outputs.difference_diagram", "outputs.summary", "outputs.python_source", "outputs.source"),
    *("outputs.render_dot", "outputs.folding"),
)
# `ops.layers` holds the layers that torch does not have; only the layer factories of operations import it.
TORCH_AT_THE_TOP = (
    *("ops.layers", "outputs.torch_module", "outputs.python_check", "weights", "training", "inference"),
    *(
        f"outputs.exporting.{module}"
        for module in ("model", "verify", "onnx_file", "torch_program", "tensors", "snippet", "source_file")
    ),
)


def name_of(path: str) -> str:
    """The dotted name of a file below the package; empty for the package itself."""
    return path.removesuffix(".py").replace("/", ".").removesuffix("__init__").removesuffix(".")


def part_of(module: str) -> str:
    """The row of the table that a module of the package belongs to."""
    return max((part for part in TABLE if not part or within(module, (part,))), key=len)


def within(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(part + ".") for part in parts)


def imports(path: str) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether that happens when the file itself is imported."""
    module = name_of(path)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    yield from _imports(ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body, package, True)


def _imports(body: list[ast.stmt], package: str, top: bool) -> Iterator[tuple[str, bool]]:
    for node in body:
        match node:
            case ast.Import():
                yield from ((alias.name, top) for alias in node.names)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    parts = package.split(".") if package else []
                    base = ".".join(["resnet_spec", *parts[: len(parts) - node.level + 1], *([base] if base else [])])
                for alias in node.names:
                    inner = PACKAGE.parent / f"{base}.{alias.name}".replace(".", "/")
                    is_module = inner.with_suffix(".py").is_file() or (inner / "__init__.py").is_file()
                    yield (f"{base}.{alias.name}" if is_module else base), top
            case ast.If() if ast.unparse(node.test) == "TYPE_CHECKING":
                yield from _imports(node.body, package, False)
            case _:
                inside = top and isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef)
                for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                    yield from _imports(getattr(node, field, []), package, inside)


@pytest.mark.parametrize("path", FILES)
def test_imports_are_those_of_the_table(path: str) -> None:
    module = name_of(path)
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


def test_every_row_of_the_table_has_a_file() -> None:
    assert {part_of(name_of(path)) for path in FILES} == set(TABLE) - {"outputs"} | {part_of("outputs")}


def test_no_part_imports_itself_through_others() -> None:
    """Between the folders of the package, and between its modules, imports at module level form no circle."""
    modules = {name_of(path): {name.removeprefix("resnet_spec.") for name, top in imports(path) if top} for path in FILES}
    modules = {module: {name for name in found if name in modules and name != module} for module, found in modules.items()}
    folders: dict[str, set[str]] = {}
    for module, found in modules.items():
        folder = module.partition(".")[0]
        folders.setdefault(folder, set()).update(name.partition(".")[0] for name in found)
        folders[folder].discard(folder)
    assert circle(modules) == []
    assert circle(folders) == []


def circle(imported: dict[str, set[str]]) -> list[str]:
    """A circle of imports, or nothing."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imported.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imported) if (found := walk(name, []))), [])


@pytest.mark.parametrize("path", [path for path in FILES if within(name_of(path), COMPILING_HALF) and path != "ops/layers.py"])
def test_the_compiling_half_needs_the_standard_library_and_yaml(path: str) -> None:
    outside = {name.partition(".")[0] for name, top in imports(path) if top} - sys.stdlib_module_names
    assert outside <= {"resnet_spec", "yaml"}


@pytest.mark.parametrize("path", [path for path in FILES if not within(name_of(path), TORCH_AT_THE_TOP)])
def test_torch_is_imported_where_it_is_used_and_not_before(path: str) -> None:
    early = [name for name, top in imports(path) if top]
    heavy = ("torch", "torchvision", "safetensors", "huggingface_hub", *(f"resnet_spec.{part}" for part in TORCH_AT_THE_TOP))
    assert [name for name in early if within(name, heavy)] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "resnet18"],
        ["summary", "resnet50", "--memory", "--field", "--arithmetic"],
        ["diff", "resnet50", "resnet50"],
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


def test_only_operations_know_the_classes_of_operations() -> None:
    """Other parts ask what an operation declares: they import no definition, and compare no operation's name."""
    found: list[str] = []
    for path in FILES:
        if path.startswith("ops/"):
            continue
        found += [f"{path}: {name}" for name, _ in imports(path) if name.startswith("resnet_spec.ops.") and name not in ASKED]
        for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith(".op.name"):
                found.append(f"{path}: {ast.unparse(node)}")
    assert found == []


ASKED = ("resnet_spec.ops.schema", "resnet_spec.ops.definition", "resnet_spec.ops.source")
