"""The drawn shapes: a function of seed, split and number; too hard for a linear classifier, easy for a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from resnet_spec.data import Data, Split, open_data, shapes, synthetic
from tests.data.conftest import Refused


def drawn(options: str = "", input: tuple[int, int, int] = (3, 32, 32), seed: int = 0, classes: int | None = None) -> Data:
    return open_data(f"synthetic:{options}", input=input, split=(0.1, 0.1), seed=seed, classes=classes)


def flat(split: Split | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    assert split is not None
    assert split.pixels is not None
    return split.pixels.reshape(len(split), -1) / 255, split.labels


def test_the_default_is_ten_balanced_classes_of_the_size_the_network_takes() -> None:
    data = drawn(input=(1, 20, 28))
    assert (data.channels, data.size, len(data.classes)) == (1, (20, 28), 10)
    for split, count in ((data.train, 4000), (data.validation, 500), (data.test, 1000)):
        assert split is not None
        assert split.pixels is not None
        assert split.pixels.shape == (count, 20, 28, 1)
        assert np.bincount(split.labels).tolist() == [count // 10] * 10
    assert data.train is not None
    assert data.train.name(17) == "image 17 of train"


def test_a_linear_classifier_does_little_better_than_guessing() -> None:
    """Least squares on the pixels, with the weight decay that suits it best on the test images themselves."""
    data = drawn()
    (x, labels), (z, truth) = flat(data.train), flat(data.test)
    middle = x.mean(axis=0)
    x, z = (np.hstack([images - middle, np.ones((len(images), 1))]) for images in (x, z))
    gram, target = x.T @ x, x.T @ np.eye(10)[labels]
    weights = [np.linalg.solve(gram + decay * np.eye(len(gram)), target) for decay in (100.0, 1000.0)]
    assert max(float(((z @ one).argmax(axis=1) == truth).mean()) for one in weights) < 0.25


def test_four_convolutions_learn_it() -> None:
    """Within six passes over 2000 images, on which a linear classifier learns nothing."""
    data = drawn("train=2000,size=24")
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels, width, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 64, 1)):
        layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def tensors(split: Split | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert split is not None
        assert split.pixels is not None
        return torch.from_numpy(split.pixels).permute(0, 3, 1, 2) / 255 - 0.5, torch.from_numpy(split.labels)

    (images, labels), (others, truth) = tensors(data.train), tensors(data.test)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=6 * 40)
    for _ in range(6):
        for chosen in torch.randperm(2000).view(40, 50):
            loss = nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        accuracy = (network(others).argmax(dim=1) == truth).double().mean().item()
    assert accuracy > 0.9


def test_the_shape_alone_tells_the_class() -> None:
    """Without noise, moves, turns and colors, no two classes look alike."""
    line = ((np.arange(64, dtype=np.float32) + 0.5) / 32 - 1)[None]
    u, v = line[:, None, :], line[:, :, None]
    u, v = np.broadcast_arrays(u, v)
    masks = [shape(u, v) < 0 for shape in shapes.SHAPES.values()]
    overlaps = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlaps) < 0.85
    assert all(0.1 < mask.mean() < 0.7 for mask in masks)


def test_an_image_depends_on_seed_split_and_number_only() -> None:
    few, many = drawn("train=40,test=10"), drawn("train=400,test=40,validation=3")
    (a, _), (b, _) = flat(few.train), flat(many.train)
    assert (a == b[:40]).all()
    assert (flat(few.test)[0] == flat(many.test)[0][:10]).all()
    assert (a[:10] != flat(few.test)[0]).any(axis=1).all()
    assert len(np.unique(b, axis=0)) == 400
    other, said = drawn("train=40", seed=1), drawn("train=40,seed=1", seed=7)
    assert (flat(other.train)[0] != a).any(axis=1).all()
    assert (flat(other.train)[0] == flat(said.train)[0]).all()


def test_a_split_too_large_to_hold_is_drawn_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn("train=30,classes=600").train
    monkeypatch.setattr(synthetic, "HELD", 1000)
    lazy = drawn("train=30,classes=600").train
    assert whole is not None
    assert lazy is not None
    assert whole.pixels is not None
    assert lazy.pixels is None
    assert (np.stack([lazy.read(i) for i in range(30)]) == whole.pixels).all()
    assert lazy.name(3) == whole.name(3)


def test_thousands_of_classes_have_names_and_parts_of_their_own() -> None:
    names = {shapes.class_name(label) for label in range(shapes.MOST_CLASSES)}
    assert len(names) == shapes.MOST_CLASSES == 6050
    assert shapes.class_name(61) == "striped square around disc"
    data = drawn("classes=6050,train=6050,size=16,test=0,validation=0")
    assert (len(data.classes), data.validation, data.test) == (6050, None, None)


def test_options_and_the_keyword_set_what_is_drawn() -> None:
    data = drawn("classes=3,size=16x24,channels=1,train=9,validation=0,test=2", classes=7)
    assert (len(data.classes), data.size, data.channels, data.validation) == (3, (16, 24), 1, None)
    assert len(drawn("train=9", classes=7).classes) == 7
    assert drawn("train=9", input=(5, 16, 16)).channels == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("clases=3", "no option `clases`"),
        ("classes", "an integer"),
        ("classes=1", "2 to 6050"),
        ("classes=-3", "an integer"),
        ("classes=9999", "2 to 6050"),
        ("size=4", "8 to 4096"),
        ("size=4x5x6", "`48x64`"),
        ("size=x", "`48x64`"),
        ("train=٣", "an integer"),
        ("train=99999999999", "10000000"),
        ("channels=\x1b", "\\x1b"),
    ],
)
def test_bad_options_are_refused(refused: Refused, options: str, words: str) -> None:
    found = refused(f"synthetic:{options}")
    assert found.code == "data-option"
    assert words in found.message


def test_a_misspelt_option_is_guessed(refused: Refused) -> None:
    assert refused("synthetic:clases=3").help == "did you mean `classes`?"
    assert refused("synthetic:train=0").code == "no-images"
