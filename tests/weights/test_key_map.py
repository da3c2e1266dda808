"""Maps of keys: written from a plan, read, corrected and carried out; what is wrong in them is an error at its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import resnet_spec
from resnet_spec.cli.program import group
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError

pytestmark = pytest.mark.torch

SPEC = """
spec: 1
name: alike
input: 3x8x8
classes: 4
stem: {stem: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1}, bn: norm}
head:
  alpha: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1}
  beta: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1, from: bn}
  sum: {op: add, from: [alpha, beta]}
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""
NAMES = {"stem": "net.first.conv", "bn": "net.first.norm", "alpha": "net.zeta", "beta": "net.eta", "fc": "net.out"}


def state(seed: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(resnet_spec.build(SPEC).state_dict())


def renamed(name: str) -> str:
    return re.sub(r"^\w+", lambda found: NAMES[found[0]], name)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the spec, its weights under other names, and a map that is right."""
    monkeypatch.chdir(tmp_path)
    Path("alike.yaml").write_text(SPEC, encoding="utf-8")
    save_file({renamed(name): tensor for name, tensor in state().items()}, "other.safetensors")
    Path("right.yaml").write_text("".join(f"{own}: {source}\n" for own, source in NAMES.items()), encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def refused(text: str, weights: str = "other.safetensors") -> Diagnostic:
    Path("map.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ResnetSpecError) as caught:
        resnet_spec.build("alike.yaml", weights=weights, weights_map="map.yaml")
    return caught.value.diagnostics[0]


def test_a_map_renames_modules_and_tensors(here: Path) -> None:
    network = resnet_spec.build("alike.yaml", weights="other.safetensors", weights_map="right.yaml")
    own = state()
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())
    Path("map.yaml").write_text(
        "alpha.weight: net.zeta.weight\nalpha.bias: net.eta.bias\nbeta: net.eta\nbeta.bias: net.zeta.bias\n"
    )
    with pytest.warns(UserWarning, match="have other names in the file"):  # those that the map does not name
        network = resnet_spec.build("alike.yaml", weights="other.safetensors", weights_map="map.yaml")
    assert torch.equal(network.get_parameter("beta.weight"), own["beta.weight"])
    assert torch.equal(network.get_parameter("beta.bias"), own["alpha.bias"])  # the longest key decides
    assert torch.equal(network.get_parameter("alpha.bias"), own["beta.bias"])


def test_what_is_ambiguous_is_asked_for_and_the_answer_is_carried_out(here: Path) -> None:
    done = run("build", "alike.yaml", "--weights", "other.safetensors")
    assert done.exit_code == 1
    assert "`--plan-only -o map.yaml`" in done.output
    done = run("build", "alike.yaml", "--weights", "other.safetensors", "--plan-only", "-o", "map.yaml")
    assert done.exit_code == 1, done.output
    assert "the same structure under other names" in done.output
    text = Path("map.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"stem": "net.first.conv", "bn": "net.first.norm", "fc": "net.out"}
    (alpha,) = (line for line in text.splitlines() if line.startswith("# alpha: "))
    (beta,) = (line for line in text.splitlines() if line.startswith("# beta: "))
    assert {alpha, beta} == {"# alpha: net.eta  # or `net.zeta`", "# beta: net.zeta  # or `net.eta`"}
    assert run("build", "alike.yaml", "--weights", "other.safetensors", "--map", "map.yaml").exit_code == 1
    chosen = text.replace(alpha, "alpha: net.zeta").replace(beta, "beta: net.eta")
    Path("map.yaml").write_text(chosen, encoding="utf-8")
    done = run("build", "alike.yaml", "--weights", "other.safetensors", "--map", "map.yaml", "-o", "own.safetensors")
    assert done.exit_code == 0, done.output
    own, written = state(), load_file("own.safetensors")
    assert written.keys() == own.keys()
    assert all(torch.equal(tensor, own[name]) for name, tensor in written.items())


def test_training_takes_a_map(here: Path) -> None:
    arguments = ["train", "alike.yaml", "--weights", "other.safetensors", "--plan-only", "--set", "classes=7"]
    assert run(*arguments).exit_code == 1
    done = run(*arguments, "--map", "right.yaml")
    assert done.exit_code == 0, done.output
    assert "for other classes" in done.output


def test_a_map_for_equal_names_is_empty_and_changes_nothing(here: Path) -> None:
    save_file(state(), "own.safetensors")
    assert run("build", "alike.yaml", "--weights", "own.safetensors", "--plan-only", "-o", "map.yaml").exit_code == 0
    assert yaml.safe_load(Path("map.yaml").read_text(encoding="utf-8")) is None
    assert run("build", "alike.yaml", "--weights", "own.safetensors", "--map", "map.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("text", "words", "help", "line"),
    [
        ("stem: net.first.conv\nalpa: net.zeta\n", "the network has no tensor and no module `alpa`", "alpha", 2),
        ("alpha: net.zetta\n", "the file of weights has no tensor and no module `net.zetta`", "net.zeta", 1),
        ("alpha: net.zeta\nbeta: net.zeta\n", "`net.zeta.weight` of the file is used twice", "", 2),
        ("alpha: net.out\n", "`net.out.weight` is 4x4, and `alpha.weight` is 4x4x3x3", "", 1),
        ("bn: net.zeta\n", "the file of weights has no `net.zeta.running_mean` for `bn.running_mean`", "", 1),
        ("alpha.weight: net.first\n", "`net.first` in the file of weights has nothing that `alpha.weight` has", "it has", 1),
        ("alpha: [net.zeta]\n", "`alpha` needs the key of a tensor or of a module", "in quotes", 1),
        ("alpha: 3\n", "`alpha` needs the key of a tensor or of a module", "in quotes", 1),
        ("- alpha\n", "a map of weights is a mapping: `network key: file key`", "", 1),
        ("just text\n", "a map of weights is a mapping", "", 1),
    ],
)
def test_what_is_wrong_in_a_map_is_an_error_at_its_line(here: Path, text: str, words: str, help: str, line: int) -> None:
    finding = refused(text)
    assert finding.code == "weights-map"
    assert words in finding.message
    assert help in finding.help
    assert finding.span is not None
    assert finding.span.line == line


@pytest.mark.parametrize(("text", "code"), [("a: [\n", "yaml-syntax"), ("fc: net.out\nfc: net.zeta\n", "duplicate-key")])
def test_what_is_no_yaml_is_refused_as_in_a_spec(here: Path, text: str, code: str) -> None:
    assert refused(text).code == code


def test_a_map_of_bytes_that_are_no_text_is_refused(here: Path) -> None:
    Path("map.yaml").write_bytes(b"alpha: \xff\xfe\n")
    with pytest.raises(ResnetSpecError):
        resnet_spec.build("alike.yaml", weights="other.safetensors", weights_map="map.yaml")
    with pytest.raises(ResnetSpecError, match=r"nothing\.yaml"):
        resnet_spec.build("alike.yaml", weights="other.safetensors", weights_map="nothing.yaml")
    for name in ("nothing.yaml", "."):
        done = run("build", "alike.yaml", "--weights", "other.safetensors", "--map", name)
        assert done.exit_code == 2
        assert "error[" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "alike.yaml", "--map", "right.yaml"],
        ["build", "alike.yaml", "--plan-only"],
        ["build", "alike.yaml", "--weights", "other.safetensors", "--format", "json"],
        ["build", "alike.yaml", "--weights", "other.safetensors", "--plan-only", "-o", "map.txt"],
        ["train", "alike.yaml", "--weights", "other.safetensors", "-o", "map.yaml"],
    ],
)
def test_options_that_do_not_go_together_are_refused(here: Path, arguments: list[str]) -> None:
    before = sorted(here.iterdir())
    assert run(*arguments).exit_code == 2
    assert sorted(here.iterdir()) == before


def test_names_of_a_file_cannot_leave_a_comment_of_the_map(here: Path) -> None:
    names = {"alpha": "x\nfc: evil # ", "beta": "y\u2028z"}
    found = {re.sub(r"^\w+", lambda part: names.get(part[0], f"net.{part[0]}"), name): each for name, each in state().items()}
    torch.save(found, "hostile.pth")
    run("build", "alike.yaml", "--weights", "hostile.pth", "--plan-only", "-o", "map.yaml")
    assert yaml.safe_load(Path("map.yaml").read_text(encoding="utf-8")) == {
        name: f"net.{name}" for name in ("stem", "bn", "fc")
    }


def test_predictions_and_exports_take_a_map(here: Path) -> None:
    Image.new("RGB", (8, 8), (200, 30, 60)).save("image.png")
    given = ("alike.yaml", "--weights", "other.safetensors")
    assert run("predict", *given, "image.png").exit_code == 1  # two of its layers are ambiguous
    predicted = run("predict", *given, "image.png", "--map", "right.yaml")
    assert predicted.exit_code == 0, predicted.output
    assert run("export", *given, "--map", "right.yaml", "-o", "own.safetensors").exit_code == 0
    own = load_file("own.safetensors")
    assert own.keys() == state().keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in state().items())
    assert run("predict", "alike.yaml", "--weights", "own.safetensors", "image.png").stdout == predicted.stdout
