"""Runs of modules that are not from a spec, evaluated and used in Python; and what results say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.training import session
from resnet_spec.training.session import Result
from tests.training.tiny import UNVALIDATED, recipe, refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]


def module(classes: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, classes))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run of a module on a folder, and its result."""
    root = tmp_path_factory.mktemp("modules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return root, train(root / "run", write_folder(root / "data"), module(), input=(3, 12, 12), epochs=2)


def test_a_run_of_a_module_is_evaluated_with_the_module(ran: tuple[Path, Result]) -> None:
    root, result = ran
    given = module(seed=1)
    before = {key: value.clone() for key, value in given.state_dict().items()}
    for path in (root / "run", root / "run" / "best.safetensors"):
        found = resnet_spec.evaluate(path, module=given, device="cpu")
        assert result.test is not None
        assert (found.scores.confusion, found.scores.images) == (result.test.confusion, 8)
        assert found.scores.loss == pytest.approx(result.test.loss, rel=1e-4)
    assert given.training  # it was copied
    assert all(torch.equal(value, before[key]) for key, value in given.state_dict().items())


def test_a_run_of_a_module_predicts_with_the_module(ran: tuple[Path, Result]) -> None:
    root, result = ran
    folder = root / "data" / "test"
    found = resnet_spec.predict(root / "run", folder, module=module(seed=1), device="cpu")
    assert len(found) == 8
    assert result.test is not None
    right = sum(each.classes[0][0] == Path(each.image).parent.name for each in found)
    assert right == round(8 * result.test.accuracy)


@pytest.mark.parametrize(
    ("give", "code"),
    [
        (lambda: None, "weights-without-facts"),
        (lambda: module(classes=3), "other-weights"),
        (lambda: nn.Linear(2, 2), "other-weights"),
        (lambda: "resnet18", "invalid-argument"),
        (
            lambda: nn.Sequential(*list(module().children())[:4], nn.Linear(400, 2), nn.Identity(), nn.Flatten(0)),
            "data-classes",
        ),
    ],
)
def test_another_module_is_refused(ran: tuple[Path, Result], give: Callable[[], nn.Module], code: str) -> None:
    found = refused(lambda: resnet_spec.evaluate(ran[0] / "run", module=give(), device="cpu"))
    assert found.code == code
    if code == "weights-without-facts":
        assert "module=" in found.help


def test_results_show_their_accuracy(ran: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, result = ran
    best = result.rows[result.best_epoch - 1].validation_accuracy
    assert best is not None
    assert result.test_accuracy is not None
    assert repr(result) == (
        f"<Result in {root}/run: 2 epochs, validation accuracy {100 * best:.2f}% (epoch {result.best_epoch}), "
        f"test accuracy {100 * result.test_accuracy:.2f}%>"
    )
    found = resnet_spec.evaluate(root / "run", module=module(), device="cpu")
    shown = (
        f"<Evaluation of Sequential on 8 test images of folder:{root}/data: accuracy {100 * found.scores.accuracy:.2f}%, loss "
    )
    assert repr(found).startswith(shown)
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    other = train(tmp_path / "run", UNVALIDATED.replace("test=30", "test=0"), epochs=1)
    assert repr(other).endswith(f"1 epoch, training accuracy {100 * other.rows[-1].train_accuracy:.2f}%, nothing held out>")


def test_the_types_of_arguments_and_results_are_public() -> None:
    assert isinstance(resnet_spec.build("cifar_resnet20"), resnet_spec.Network)
    assert resnet_spec.Result is Result
    assert issubclass(resnet_spec.Interrupted, Exception)
    assert resnet_spec.SpecLike is not None
    assert recipe()
