"""Every network that has a reference: keys and shapes of all, outputs of a few; everything of all with `-m zoo`."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.language.library import shipped_names, shipped_root
from tests.networks import FAMILIES as FOLDERS
from tests.networks import REFERENCED
from tests.networks.references import Reference, make_on_meta, references, shapes_of_state, torchvision_model
from tests.networks.table import EXPLAINED, TOLERANCE, chosen, compare, compare_outputs, main, published_macs

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:TF32 acceleration")]  # torch's, when oneDNN is turned off

ROWS = references()
DEEP = ("cifar.preact_resnet1001", "cifar.resnet1202")  # of those only shallower ones are compared here
FAMILIES: dict[str, list[str]] = {}
for _row in [row for row in ROWS if row not in DEEP]:
    FAMILIES.setdefault(re.match(r"\w+\.[a-z]+", _row)[0], []).append(_row)  # type: ignore[index]

# one of each family, of a few million parameters
SMALL = (
    "squeezenet1_1",
    "densenet121",
    "resnext50_32x4d",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "efficientnet_b0",
    "efficientnet_v2_s",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_and_shapes_are_those_of_the_reference(family: str) -> None:
    for name in FAMILIES[family]:
        expected = shapes_of_state(make_on_meta(ROWS[name]))
        found = shapes_of_state(resnet_spec.build(ROWS[name].spec, device="meta", initialize=False))
        assert found == expected, name


@pytest.mark.parametrize("name", SMALL)
def test_outputs_and_statistics_have_the_bits_of_the_reference(name: str) -> None:
    reference = ROWS[f"torchvision.{name}"]
    assert compare_outputs(reference, resnet_spec.analyze(reference.spec)) == {False: 0, True: 0}


@pytest.mark.zoo
@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table(name: str) -> None:
    row = compare(name, ROWS[name])
    assert not row.wrong, row.cells


def test_every_network_of_other_people_has_a_reference() -> None:
    shipped = {name for name in shipped_names() if name.startswith(REFERENCED)}
    assert shipped <= {reference.spec for reference in ROWS.values()}
    assert {name for name, _ in EXPLAINED} <= set(ROWS)


def test_every_convolutional_classifier_of_torchvision_is_shipped() -> None:
    import_torchvision()
    from torchvision import models

    with_attention = ("vit_", "swin_", "maxvit_")
    named = {name for name in models.list_models(module=models) if not name.startswith(with_attention)}
    assert named == {name.partition(".")[2] for name in ROWS if published_macs(name)}
    assert len(named) == 68


def test_a_network_that_extends_another_is_short() -> None:
    texts = [
        (shipped_root() / f"{name}.yaml").read_text(encoding="utf-8") for name in shipped_names() if name.startswith(FOLDERS)
    ]
    assert median(len(text.splitlines()) for text in texts if "\nextends:" in text) <= 8


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("torchvision.") and "fpn" not in name])
def test_the_weights_of_a_spec_are_those_that_torchvision_publishes(name: str) -> None:
    import_torchvision()
    from torchvision import models

    analysis = resnet_spec.analyze(ROWS[name].spec)
    weights = analysis.spec.weights
    assert weights is not None
    assert weights.kind == "torchvision"
    entry = models.get_weight(weights.name)
    assert entry in list(models.get_model_weights(name.partition(".")[2]))
    assert weights.top1 == entry.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert analysis.total.params == entry.meta["num_params"] or "aux" in analysis.outputs or "aux1" in analysis.outputs
    assert analysis.input == (3, *[entry.transforms.keywords["crop_size"]] * 2)


def deeper() -> nn.Module:
    return torchvision_model("resnet34")()


def other_epsilon() -> nn.Module:
    model = torchvision_model("resnet18")()
    model.get_submodule("layer4.1.bn2").eps = 1e-2  # type: ignore[assignment]
    return model


def other_momentum() -> nn.Module:
    model = torchvision_model("resnet18")()
    model.get_submodule("layer4.1.bn2").momentum = 0.2  # type: ignore[assignment]
    return model


@pytest.mark.parametrize(
    ("make", "wrong"), [(deeper, ["keys", "macs"]), (other_epsilon, ["eval", "train"]), (other_momentum, ["train"])]
)
def test_what_differs_is_found(make: Callable[[], nn.Module], wrong: list[str]) -> None:
    row = compare("theirs", Reference("resnet18", make))
    assert row.wrong == wrong
    assert all(row.cells[column].endswith("!") for column in wrong)


def test_a_difference_of_rounding_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """oneDNN's GELU rounds differently: not the same bits, but within the tolerance."""
    reference = ROWS["torchvision.convnext_tiny"]
    found = compare_outputs(Reference(reference.spec, reference.make), resnet_spec.analyze(reference.spec))
    assert all(difference <= TOLERANCE for difference in found.values())


def test_the_command_prints_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--meta", "squeezenet1_*", "--after", "torchvision.squeezenet1_0"]) == 0
    header, line, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["reference", "keys", "eval", "train", "macs", "published", "seconds"]
    assert line.split()[:-1] == ["torchvision.squeezenet1_1", "52", "-", "-", "349,151,936", "0.349"]
    assert total == "1 compared, 1 equal"


def test_names_are_those_of_rows_or_of_networks() -> None:
    assert list(chosen(["resnet18"])) == ["timm.resnet18", "torchvision.resnet18"]
    assert list(chosen(["timm.resnet18"])) == ["timm.resnet18"]
    with pytest.raises(SystemExit, match="no reference is called resnet19"):
        chosen(["resnet19"])


def test_a_reference_on_meta_has_no_memory() -> None:
    model = make_on_meta(ROWS["torchvision.regnet_y_128gf"])
    assert {tensor.device for tensor in model.state_dict().values()} == {torch.device("meta")}
