"""`resnet-spec list` and `resnet-spec schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_spec import compiler
from resnet_spec.cli import group, list_command, networks
from resnet_spec.cli.networks import compute, family_of, read_networks, write_networks
from resnet_spec.language import library
from resnet_spec.language.library import library_block_names, networks_file, shipped_mixins, shipped_names
from resnet_spec.language.schemas import schema_document

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(group, arguments, env={"COLUMNS": None, **environment})


def run(*arguments: str, **environment: str) -> str:
    done = invoke(*arguments, **environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def listed(*arguments: str) -> list[str]:
    """The full names of the networks that are listed, in their order."""
    return [row["name"] for row in json.loads(run("list", *arguments, "--format", "json"))["specs"]]


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a network is compiled."""

    def fail(*_: object) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(compiler, "analyze", fail)


# --- the figures -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_figures_are_those_of_the_compiled_networks() -> None:
    """`make networks` writes them anew."""
    assert networks_file().read_text(encoding="utf-8") == write_networks([compute(name) for name in shipped_names()])


def test_no_entry_is_stale_or_missing_and_nothing_is_compiled(no_compiler: None) -> None:
    """`make networks` writes them anew."""
    assert [network.name for network in read_networks()] == list(shipped_names())


def test_the_page_of_networks_is_that_of_the_command() -> None:
    """`make networks` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == run("list", "--format", "markdown")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"name": "resnet18"}]', "\x00"])
def test_without_figures_networks_are_compiled(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "networks.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(networks, "networks_file", lambda: tmp_path / "networks.json")
    monkeypatch.setattr(networks, "shipped_names", lambda: ("resnet18", "mnist/lenet5"))
    assert [network.params for network in read_networks()] == [11_689_512, 61_706]


def test_a_network_whose_text_has_changed_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    real = networks._Texts.digest

    def digest(texts: networks._Texts, names: tuple[str, ...]) -> str:
        return "changed" if "resnet50.yaml" in names else real(texts, names)

    def note(name: str) -> networks.ShippedNetwork:
        compiled.append(name)
        return compute(name)

    monkeypatch.setattr(networks._Texts, "digest", digest)
    monkeypatch.setattr(networks, "compute", note)
    monkeypatch.setattr(networks, "shipped_names", lambda: ("resnet101", "resnet18", "resnet34", "resnet50"))
    read_networks()
    assert compiled == ["resnet101", "resnet50"]  # resnet101 extends resnet50


def test_the_files_of_a_network_are_those_that_it_extends() -> None:
    files = {network.name: network.files for network in read_networks()}
    assert files["resnet152"] == ("resnet152.yaml", "resnet50.yaml", "resnet34.yaml")
    assert files["cifar/resnet18_32px"] == ("cifar/resnet18_32px.yaml", "resnet18.yaml", "resnet34.yaml")


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (224, 224), (219, 219), (300, 219), (29, 31), (64, 48), (71, 166)])
def test_accepted_sizes_are_those_of_the_analysis(size: tuple[int, int]) -> None:
    for network in read_networks():
        if network.name in ("resnet18", "pokemon_resnet18", "examples/unet", "variants/resnet18_96px", "mnist/lenet5"):
            assert network.accepts_image(*size) == (size in compiler.analyze(compiler.find(network.name)).accepted)


def test_a_network_whose_sizes_are_not_known_is_compiled() -> None:
    (network,) = [network for network in read_networks() if network.name == "mnist/lenet5"]
    unknown = networks.ShippedNetwork(**{**{key: getattr(network, key) for key in network.__slots__}, "rectangles": None})
    assert unknown.accepts_image(28, 28)
    assert not unknown.accepts_image(32, 32)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet18", "resnet"),
        ("cifar_resnet1202", "cifar_resnet"),
        ("variants/cifar_resnet20_projection", "variants/cifar_resnet"),
        ("torchvision/efficientnet_b0", "torchvision/efficientnet"),
        ("torchvision/efficientnet_v2_s", "torchvision/efficientnet_v2"),
        ("torchvision/regnet_y_1_6gf", "torchvision/regnet_y"),
        ("torchvision/convnext_tiny", "torchvision/convnext"),
        ("torchvision/shufflenet_v2_x1_0", "torchvision/shufflenet_v2"),
        ("torchvision/vgg16_bn", "torchvision/vgg"),
        ("timm/res2net50_26w_4s", "timm/res2net"),
        ("timm/resnetv2_50", "timm/resnetv2"),
        ("timm/seresnextaa101d_32x8d", "timm/seresnextaa"),
        ("cifar/densenet_bc_100_12", "cifar/densenet_bc"),
        ("examples/unet", "examples/unet"),
    ],
)
def test_a_family_is_what_networks_of_several_sizes_have_in_common(name: str, family: str) -> None:
    assert family_of(name) == family


# --- selecting -------------------------------------------------------------------------------------------------------------


def test_list_names_every_shipped_spec_with_the_papers_counts() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--format", "json"))["specs"]}
    assert set(rows) == set(shipped_names())
    assert (rows["resnet50"]["parameters"], rows["resnet50"]["multiply-adds"]) == (25557032, 4089184256)
    assert rows["resnet50"]["about"].startswith("ImageNet ResNet-50")
    assert rows["resnet50"]["accepts"] == "height and width of 1 or more"
    assert (rows["resnet50"]["input"], rows["resnet50"]["output"]) == ("3x224x224", [1000])
    assert (rows["resnet50"]["family"], rows["resnet50"]["recipe"]) == ("resnet", "torchvision-v1")


def test_names_and_patterns_select_networks_with_or_without_their_folder() -> None:
    assert listed("resnet18", "lenet5") == ["resnet18", "mnist/lenet5"]
    assert listed("wrn_*") == ["cifar/wrn_16_4", "cifar/wrn_40_4", "cifar/wrn_28_10"]
    assert listed("cifar/*29*") == ["cifar/resnext29_8x64d", "cifar/resnext29_16x64d"]
    as_files = ("resnet18.yaml", "specs/mnist/lenet5.yaml")  # what a shell makes of `resnet18*`
    assert listed(*as_files) == ["resnet18", "mnist/lenet5"]
    assert {"resnet18", "variants/resnet18_96px", "cifar/resnet18_32px"} <= set(listed("resnet18*"))


def test_families_and_folders_select_networks() -> None:
    assert listed("--family", "mnist") == ["mnist/lenet5"]
    assert listed("--family", "wrn") == listed("--family", "cifar/wrn") == listed("wrn_*")
    assert set(listed("--family", "cifar")) == {name for name in shipped_names() if name.startswith("cifar/")}
    assert listed("--family", "plain", "--family", "lene*") == ["plain18", "plain34", "mnist/lenet5"]


def test_figures_select_networks() -> None:
    small = listed("--at-most", "params=300_000")
    assert small == ["cifar_resnet20", "mnist/lenet5", "variants/cifar_resnet20_projection"]
    assert small == listed("--at-most", "parameters=0.3M") == listed("--at-most", "params=3e5")
    assert listed("--at-most", "params=3e5", "--at-most", "macs=40551040") == small[:2]
    assert listed("--at-most", "macs=0.4k") == []
    rows = json.loads(run("list", "--at-most", "macs=1G", "--format", "json"))["specs"]
    assert all(row["multiply-adds"] <= 1e9 for row in rows)


def test_accepted_sizes_select_networks() -> None:
    assert "mnist/lenet5" in listed("--accepts", "28x31")
    assert "mnist/lenet5" not in listed("--accepts", "32x32")
    assert "examples/unet" in listed("--accepts", "3x32x48")
    assert "examples/unet" not in listed("--accepts", "33")


def test_sorted_networks_are_in_one_list() -> None:
    for key, figure in (("params", "parameters"), ("macs", "multiply-adds"), ("name", "name")):
        rows = json.loads(run("list", "--sort", key, "--format", "json"))["specs"]
        assert [row[figure] for row in rows] == sorted(row[figure] for row in rows)
    lines = run("list", "wrn_*", "resnet18", "--sort", "macs").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["wrn_16_4", "wrn_40_4", "resnet18", "wrn_28_10"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet19"], "did you mean `resnet1"),
        (["wrn-28-10"], "did you mean `wrn_28_10`?"),
        (["--family", "cifr"], "did you mean `cifar`?"),
        (["--at-most", "params"], "params=5e6"),
        (["--at-most", "depth=5"], "params=5e6"),
        (["--at-most", "params=many"], "params=5e6"),
        (["--at-most", "params=1.2.3"], "`1.2.3` is not a number"),
        (["--accepts", "large"], "such as 32x32"),
        (["--blocks", "--sort", "macs"], "are about networks, not about blocks"),
        (["--blocks", "--format", "markdown"], "is for networks"),
        (["--blocks", "bottelneck"], "none of the blocks is called `bottelneck`"),
        (["\x1b[31m"], "\\x1b[31m"),
    ],
)
def test_what_selects_nothing_by_mistake_is_an_error(arguments: list[str], message: str) -> None:
    done = invoke("list", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_no_network_is_like_that_is_no_error() -> None:
    done = invoke("list", "--at-most", "params=1")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no network is like that\n")


# --- showing ---------------------------------------------------------------------------------------------------------------


def test_every_shipped_spec_has_a_row_below_its_family() -> None:
    lines = run("list").splitlines()[1:]
    family, rows = "", []
    for line in lines:
        if not line.startswith(" "):
            family = line
        else:
            rows.append((family, line.split()[0]))
    assert sorted(rows) == sorted((family_of(name), networks.short_name(name)) for name in shipped_names())


def test_a_name_in_the_table_can_be_used_as_spec() -> None:
    for name in shipped_names():
        assert library.shipped_path(networks.short_name(name)) == library.shipped_path(name)


def test_a_short_name_of_several_networks_is_shown_with_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"lenet5": ("mnist/lenet5", "timm/lenet5")}
    monkeypatch.setattr(library, "_in_folders", lambda kind: several)
    assert "  mnist/lenet5 " in run("list", "lenet5")


@pytest.mark.parametrize("columns", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("what", [[], ["--sort", "macs"], ["--recipes"], ["--mixins"], ["--operations"]])
def test_a_table_fits_the_terminal(what: list[str], columns: int) -> None:
    cut = run("list", *what, COLUMNS=str(columns)).splitlines()
    whole = run("list", *what).splitlines()
    assert len(cut) == len(whole)
    names = max(len(line.split()[0]) for line in whole)
    assert max(map(len, cut)) <= max(columns, names + 40)
    assert [line.split()[0] for line in cut] == [line.split()[0] for line in whole]


def test_80_columns_have_the_figures_and_the_accepted_sizes() -> None:
    lines = run("list", "lenet5", "resnet18", COLUMNS="80").splitlines()
    assert lines[0].split()[:4] == ["name", "parameters", "multiply-adds", "accepts"]
    assert lines[2].split()[:4] == ["resnet18", "11,689,512", "1,814,073,344", "1+"]
    assert lines[4].split()[:5] == ["lenet5", "61,706", "416,520", "28-31", "square"]


def test_published_accuracy_and_weights_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    (network,) = [network for network in read_networks() if network.name == "resnet18"]
    facts = {key: getattr(network, key) for key in network.__slots__}
    published = networks.ShippedNetwork(**{**facts, "weights_kind": "torchvision", "weights": "A|B.C", "top1": 69.758})
    monkeypatch.setattr(list_command, "read_networks", lambda: [published])
    assert "  69.76  " in run("list")
    (row,) = json.loads(run("list", "--format", "json"))["specs"]
    assert row["weights"] == {"torchvision": "A|B.C", "top1": 69.758}
    assert "| `torchvision:A\\|B.C` | 69.758 |" in run("list", "--format", "markdown")


def test_every_block_and_mixin_is_listed() -> None:
    output = run("list", "--blocks")
    assert all(name in output for name in library_block_names())
    assert run("list", "--blocks", "basic*").count("block:") == 2
    rows = json.loads(run("list", "--mixins", "--format", "json"))["mixins"]
    assert [row["mixin"] for row in rows] == list(shipped_mixins())
    assert all(row["about"] for row in rows)


def test_schema_prints_the_checked_in_file() -> None:
    assert json.loads(run("schema")) == schema_document()
