"""Beginnings of names are found by what fits, also where a file holds several networks or more than one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import resnet_spec
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.weights.naming import match_names
from tests.training import tiny
from tests.weights.starting import start_from

pytestmark = pytest.mark.torch


def state(seed: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(resnet_spec.build(tiny.SPEC).state_dict())


def begun(begin: str, tensors: dict[str, Tensor], without: str = "-") -> dict[str, Tensor]:
    return {begin + name: tensor for name, tensor in tensors.items() if not name.startswith(without)}


def started(path: Path, key: str | None = None) -> tuple[dict[str, Tensor], str]:
    analysis = resnet_spec.analyze(tiny.SPEC)
    network = resnet_spec.build(analysis)
    note = start_from(network, analysis, path, key=key)
    return dict(network.state_dict()), note


def equal(found: dict[str, Tensor], wanted: dict[str, Tensor], without: str = "-") -> bool:
    return all(torch.equal(tensor, wanted[name]) for name, tensor in found.items() if not name.startswith(without))


@pytest.mark.parametrize("begin", ["module.", "_orig_mod.module.", "net.backbone.body.", "module.encoder_q.", "layer1."])
def test_any_beginning_of_all_names_is_removed(begin: str, tmp_path: Path) -> None:
    torch.save(begun(begin, state()), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="is removed from the beginning of every name"):
        network = resnet_spec.build(tiny.SPEC, weights=tmp_path / "w.pth")
    assert equal(network.state_dict(), state())


def test_of_mocos_networks_the_query_encoder_is_taken_and_its_projection_left_out(tmp_path: Path) -> None:
    """Keys as facebookresearch/moco saves them: two encoders whose `fc` is an MLP, and a queue."""
    query, other = state(1), state(2)
    found = begun("module.encoder_k.", other, "fc.") | begun("module.encoder_q.", query, "fc.")
    for encoder in ("q", "k"):
        found |= {f"module.encoder_{encoder}.fc.{layer}.weight": torch.zeros(8, 32) for layer in (0, 2)}
    found |= {"module.queue": torch.zeros(8, 64), "module.queue_ptr": torch.zeros(1)}
    torch.save({"state_dict": found}, tmp_path / "w.pth")
    after, note = started(tmp_path / "w.pth")
    assert equal(after, query, "fc.")
    assert "`module.encoder_k.` fit equally well: `--weights-key module.encoder_k` chooses" in note
    assert "fc.bias, fc.weight reinitialized" in note
    after, _ = started(tmp_path / "w.pth", "module.encoder_k")
    assert equal(after, other, "fc.")


def test_dinos_teacher_is_taken(tmp_path: Path) -> None:
    found = begun("student.module.backbone.", state(1)) | begun("teacher.backbone.", state(2))
    torch.save(found, tmp_path / "w.pth")
    assert equal(started(tmp_path / "w.pth")[0], state(2))


def test_build_refuses_what_is_outside_and_says_how_the_network_alone_is_taken(tmp_path: Path) -> None:
    torch.save(begun("backbone.", state()) | {"neck.weight": torch.zeros(3, 3)}, tmp_path / "w.pth")
    with pytest.raises(ResnetSpecError) as caught:
        resnet_spec.build(tiny.SPEC, weights=tmp_path / "w.pth")
    assert "`--weights-key backbone`" in caught.value.diagnostics[0].help
    with pytest.warns(UserWarning, match="1 others are left out|1 other"):
        network = resnet_spec.build(tiny.SPEC, weights=tmp_path / "w.pth", weights_key="backbone")
    assert equal(network.state_dict(), state())


def test_a_beginning_is_not_invented() -> None:
    own = {"a.weight": (3, 3), "b.weight": (4, 4)}
    assert match_names(own, {"x.weight": (3, 3), "y.weight": (4, 4)}).sources == {}
    assert match_names(own, {"b.a.weight": (9,), "b.weight": (4, 4)}).beginning == ""
    deep = ".".join("x" for _ in range(5000))
    assert match_names(own, {deep + ".a.weight": (3, 3)}).sources == {}
