"""Weights of torchvision's and timm's networks, in each form in which people have them, give their logits bit for bit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision

pytestmark = pytest.mark.torch

State = dict[str, Tensor]
NETWORKS = {  # the spec, and where its reference is
    "resnet50": "torchvision",
    "torchvision/mobilenet_v3_large": "torchvision",
    "torchvision/densenet121": "torchvision",
    "torchvision/efficientnet_b0": "torchvision",
    "timm/resnet50d": "timm",
    "timm/seresnet152d": "timm",
}


def reference(spec: str) -> nn.Module:
    """The network of torchvision or timm, with statistics that show whether they are used."""
    import_torchvision()
    torch.manual_seed(0)
    name = spec.rpartition("/")[2]
    if NETWORKS[spec] == "timm":
        import timm

        model: nn.Module = timm.create_model(name)
    else:
        from torchvision import models

        model = getattr(models, name)()
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer) * 0.1)
    return model.eval()


def zip_file(state: State, folder: Path) -> Path:
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def legacy(state: State, folder: Path) -> Path:
    torch.save(state, folder / "weights.pth", _use_new_zipfile_serialization=False)
    return folder / "weights.pth"


def wrapped(state: State, folder: Path) -> Path:
    """A checkpoint of a training with DistributedDataParallel."""
    whole = {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3, "best_acc1": 76.1}
    torch.save(whole, folder / "checkpoint.pth.tar")
    return folder / "checkpoint.pth.tar"


def safetensors(state: State, folder: Path) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def hugging_face(state: State, folder: Path) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architecture": "x", "num_classes": 1000}), encoding="utf-8")
    return folder


def old_densenet(state: State, folder: Path) -> Path:
    """The keys of DenseNets before torchvision 0.3, which its files on the web still have."""
    return zip_file({re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): t for key, t in state.items()}, folder)


FORMS: tuple[Callable[[State, Path], Path], ...] = (zip_file, legacy, wrapped, safetensors, hugging_face)
CASES = [(spec, form) for spec in NETWORKS for form in FORMS] + [("torchvision/densenet121", old_densenet)]


def is_quick(spec: str, form: Callable[[State, Path], Path]) -> bool:
    """Whether a case is one of the default tests: each form once, and each family once."""
    if spec == "torchvision/mobilenet_v3_large":
        return True
    return form is old_densenet or (form is zip_file and spec in ("torchvision/efficientnet_b0", "resnet50"))


@pytest.mark.parametrize(
    ("spec", "form"),
    [pytest.param(*case, marks=() if is_quick(*case) else pytest.mark.zoo) for case in CASES],
    ids=[f"{spec.rpartition('/')[2]}-{form.__name__}" for spec, form in CASES],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # notes on what is unwrapped
def test_each_form_gives_the_same_logits(spec: str, form: Callable[[State, Path], Path], tmp_path: Path) -> None:
    theirs = reference(spec)
    ours = resnet_spec.build(spec, weights=form(theirs.state_dict(), tmp_path)).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
