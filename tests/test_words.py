"""The words of the project: plain technical English with American spelling, and one meaning for each name of a type."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import resnet_spec

PACKAGE = Path(resnet_spec.__file__).parent
ROOT = PACKAGE.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
SUFFIXES = {".py", ".md", ".yaml", ".json"}
TEXTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        *(ROOT / name for name in PAGES),
        *(p for top in (PACKAGE, ROOT / "docs", ROOT / "specs") for p in top.rglob("*")),
    ]
    if path.suffix in SUFFIXES and path.is_file()
)

# Words that a colleague would not use, with the ones to use instead.
HOUSE_WORDS = {
    r"mend(s|ed|ing)?": "fix",
    r"truth[- ]values?": "boolean",
    r"misprints?": "typo",
    r"(told|tells?)": "reported, given",
    r"(nobody|somebody)": "no other ..., untrusted",
    r"(laid|lays)": "applied",
    r"taken up": "resumed",
    r"(comes?|came) to": "results in, is",
    r"goes in|comes? out": "a sentence on what it does",
    r"hand(s|ed)? (on|in|out)": "passes",
    r"ask(s|ed)? for": "requires, specifies, requested",
    r"on its way": "",
    r"anew": "again, re-",
    r"is said": "is reported",
    r"whatever (enters|leaves)|what enters": "the input",
    r"beside": "next to, besides, in addition to",
    r"foreign": "untrusted",
    r"a mistake of (ours|resnet-spec)": "a bug in resnet-spec",
    r"nothing stands|stands (there|here|for)": "is",
}
BRITISH = (
    *("colou?rs?(?<!color)(?<!colors)", "coloured", "colouring", "grey", "behaviours?", "neighbour(s|ing)?", "centre[sd]?"),
    *(
        "catalogues?",
        "licence",
        "favour(s|ed|ite)?",
        "labell(ed|ing)",
        "modell(ed|ing)",
        "artefacts?",
        "judgement",
        "programme",
    ),
    *("misspelt", "spelt", "learnt", "analys(e[sd]?|ing)", "optimisers?"),
    r"(initial|normal|optim|recogn|organ|summar|serial|synchron|minim|maxim|general|special|real|random|quant)is(e[sd]?|ing|ations?)",
)
ALLOWED = {  # what a line may contain for all that, with the reason
    "initialise": "the old spelling of an argument of `build`, which is still accepted",
    '"optimiser"': "the old spelling of a key of `summary --format json`, which programs may read",
    "`optimiser`": "its comment",
    "beside": "`beside` is in the names of the classes of synthetic images, which are stored with trained weights",
}
ALLOWED_IN = {"beside": ("resnet_spec/data/shapes.py", "resnet_spec/data/drawing.py")}
PATTERN = re.compile(rf"\b({'|'.join([*HOUSE_WORDS, *BRITISH])})\b", re.IGNORECASE)


@pytest.mark.parametrize("path", TEXTS)
def test_words_are_those_of_colleagues(path: str) -> None:
    found = []
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
        for allowed in ALLOWED:
            if path in ALLOWED_IN.get(allowed, (path,)):
                line = line.replace(allowed, "")
        found += [f"{path}:{number}: {match[0]}" for match in PATTERN.finditer(line)]
    assert found == []


def test_the_pattern_finds_house_words_and_british_spelling() -> None:
    for word in ("a mend", "Truth value", "the colour", "colours", "initialised", "neighbouring", "asked for", "catalogue"):
        assert PATTERN.search(word), word
    for word in (
        "amend",
        "color",
        "colors",
        "besides",
        "recommended",
        "initialized",
        "raise",
        "precise",
        "catalog",
        "foretold",
    ):
        assert not PATTERN.search(word), word


def test_exceptions_are_needed() -> None:
    """An exception that no line needs any more is removed."""
    for allowed in ALLOWED:
        assert any(allowed in (ROOT / path).read_text(encoding="utf-8") for path in ALLOWED_IN.get(allowed, TEXTS)), allowed


# Modules and layers of torch are named after the operation or the part of a spec that they run.
NAMED_AFTER = ("ops/layers.py", "outputs/torch_module.py")


def test_a_type_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE).as_posix()
        if relative not in NAMED_AFTER:
            for name in type_names(ast.parse(path.read_text(encoding="utf-8"))):
                places[name].append(relative)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def type_names(tree: ast.Module) -> list[str]:
    """The classes and the type aliases at module level; an alias is an assignment to a name in CamelCase."""
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names += [name] if re.fullmatch(r"_?[A-Z][a-z]\w*", name) else []
    return names


def test_no_module_is_a_drawer_and_no_class_a_manager() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem not in ("utils", "util", "helpers", "helper", "misc", "tools"), path
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        assert [name for name in names if name.endswith(("Manager", "Helper", "Utils"))] == [], path
