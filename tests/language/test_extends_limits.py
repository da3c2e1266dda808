"""A spec and everything it extends together have the limits of a single file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import RecipeError, SpecError
from resnet_spec.language.extends import MAX_FILES
from resnet_spec.training.recipe.reader import read_recipe

HEAD = "spec: 1\ninput: 3x8x8\nstem: {r: relu}\n"


def write(folder: Path, count: int, text: Callable[[int], str], kind: str = "spec", in_chain: bool = False) -> Path:
    """`count` files, extended by one: all of them, or each by the next."""
    for number in range(count):
        extends = f"extends: f{number - 1}.yaml\n" if in_chain and number else ""
        (folder / f"f{number}.yaml").write_text(f"{kind}: 1\n{extends}{text(number)}", encoding="utf-8")
    path = folder / "last.yaml"
    names = [f"f{count - 1}.yaml"] if in_chain else [f"f{number}.yaml" for number in range(count)]
    path.write_text(f"{HEAD if kind == 'spec' else 'recipe: 1'}\nextends: [{', '.join(names)}]\n")
    return path


TOO_LARGE: dict[str, tuple[Callable[[int], str], str, str]] = {
    "bytes": (lambda n: f"about: {'w ' * 100_000}\n", "too-large", "with {}, more than 1,048,576 bytes are extended"),
    "values": (
        lambda n: "params:\n" + "".join(f"  p{n}_{k}: 1\n" for k in range(5_000)),
        "too-many-nodes",
        "with {}, there are more than 50,000 values",
    ),
    "values behind aliases": (
        lambda n: f"params: {{a{n}: &a [{'1, ' * 200}]}}\nexpect: {{b: [{'*a, ' * 200}]}}\n",
        "too-many-nodes",
        "with {}, there are more than 200,000 values once aliases are followed",
    ),
}


@pytest.mark.parametrize("what", TOO_LARGE)
@pytest.mark.parametrize("in_chain", [False, True])
def test_limits_hold_for_all_files_together(tmp_path: Path, what: str, in_chain: bool) -> None:
    text, code, message = TOO_LARGE[what]
    path = write(tmp_path, 12, text, in_chain=in_chain)
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(path)
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    span = finding.span
    assert span is not None
    extended = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    assert finding.message.replace(f"{tmp_path}/", "") == message.format(extended)
    assert finding.help == "a spec and everything it extends together have the limits of a single file"


def test_limits_hold_for_recipes(tmp_path: Path) -> None:
    path = write(tmp_path, 12, lambda n: f"about: {'w ' * 100_000}\n", "recipe")
    with pytest.raises(RecipeError, match="more than 1,048,576 bytes are extended"):
        read_recipe(path)


def test_a_file_that_several_extend_counts_once(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(f"spec: 1\nabout: {'w ' * 100_000}\n")
    path = write(tmp_path, 12, lambda n: "extends: base.yaml\n")
    assert resnet_spec.analyze(path).output == (3, 8, 8)


def test_only_so_many_files_are_extended(tmp_path: Path) -> None:
    assert resnet_spec.analyze(write(tmp_path, MAX_FILES, lambda n: "")).output == (3, 8, 8)
    path = write(tmp_path, MAX_FILES + 1, lambda n: "")
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(path)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message) == ("too-many-files", f"more than {MAX_FILES} files are extended")
    assert finding.help == "put several of them into one spec"
    span = finding.span
    assert span is not None
    assert span.source.line(span.line)[span.column - 1 : span.end_column - 1] == f"f{MAX_FILES}.yaml"


def test_the_files_of_extended_files_count(tmp_path: Path) -> None:
    """Sixty that each extend five others, all by paths of their own."""
    for number in range(60):
        (tmp_path / f"g{number}").mkdir()
        for inner in range(5):
            (tmp_path / f"g{number}" / f"{inner}.yaml").write_text("spec: 1\n")
    extends = "extends: [{}]\n"
    path = write(tmp_path, 60, lambda n: extends.format(", ".join(f"g{n}/{inner}.yaml" for inner in range(5))))
    with pytest.raises(SpecError, match="too-many-files"):
        resnet_spec.analyze(path)


def test_a_file_that_is_named_again_is_not_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text("spec: 1\n")
    (tmp_path / "spec.yaml").write_text(f"{HEAD}extends: [{', '.join(['base.yaml'] * 10_000)}]\n")
    resolved: list[Path] = []
    resolve = Path.resolve

    def counted(path: Path, strict: bool = False) -> Path:
        resolved.append(path)
        return resolve(path, strict)

    monkeypatch.setattr(Path, "resolve", counted)
    assert resnet_spec.analyze(tmp_path / "spec.yaml").output == (3, 8, 8)
    assert len(resolved) < 100


def test_recipes_extend_only_so_many_files(tmp_path: Path) -> None:
    path = write(tmp_path, MAX_FILES + 1, lambda n: "", "recipe")
    with pytest.raises(RecipeError, match=r"too-many-files.*\n.*put several of them into one recipe"):
        read_recipe(path)
