"""What is done to images: whole batches get the pixels that torchvision gives one image after the other."""

from __future__ import annotations

import importlib
import multiprocessing
import pickle
import warnings
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.preparation import Preparation, normalize
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.training.images import COLUMNS, Each, bordered, cut, erase, find_final_size, prepare
from resnet_spec.training.randomness import draws
from resnet_spec.training.recipe import Augment
from tests.data.conftest import noise
from tests.training.small import CPU, data, from_files, in_memory, recipe

pytestmark = pytest.mark.torch
import_torchvision()
V2: Any = importlib.import_module("torchvision.transforms.v2.functional")
V1: Any = importlib.import_module("torchvision.transforms.functional")
TOP, LEFT, FLIP, ERASE = range(4)


def prepared(size: tuple[int, int] = (8, 6), channels: int = 3, **fields: Any) -> Preparation:
    mean, std = (0.4914, 0.4822, 0.4465, 0.5)[:channels], (0.2470, 0.2435, 0.2616, 0.3)[:channels]
    return Preparation(**{"resize": None, "interpolation": "bilinear", "crop": None, "mean": mean, "std": std, **fields},
                       channels=channels, size=size)  # fmt: skip


def theirs(image: Pixels, row: NDArray[np.float64], augment: Augment, preparation: Preparation) -> torch.Tensor:
    """One image by torchvision's functions, with our draws."""
    x = torch.from_numpy(image).permute(2, 0, 1)
    height, width = x.shape[1:]
    if augment.crop:
        x = V2.pad(x, [augment.crop] * 4, padding_mode=augment.crop_mode)
        top, left = (int(row[column] * (2 * augment.crop + 1)) for column in (TOP, LEFT))
        x = V2.crop(x, top, left, height, width)
    if row[FLIP] < augment.flip:
        x = V2.horizontal_flip(x)
    x = V1.convert_image_dtype(
        x, torch.float32
    )  # as ToTensor: divided by 255; v2 multiplies by 1 / 255, which is rounded twice
    normal: torch.Tensor = V2.normalize(x, list(preparation.mean), list(preparation.std))
    return normal


@settings(max_examples=60)
@given(
    st.integers(1, 7),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from([1, 3, 4]),
    st.none() | st.integers(0, 5),
    st.sampled_from(["constant", "reflect"]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_batch_is_cropped_flipped_and_normalised_bit_for_bit_as_torchvision_does_each_image(
    count: int, height: int, width: int, channels: int, crop: int | None, mode: Any, flip: float, last: bool, seed: int
) -> None:
    crop = None if crop is None else min(crop, height - 1, width - 1)  # torch reflects no further
    augment, preparation = Augment(crop=crop, crop_mode=mode, flip=flip), prepared((height, width), channels)
    images, rows = noise(seed, count, height, width, channels), draws(seed, 0, count, COLUMNS)
    chosen = np.random.default_rng(seed).integers(0, count, count + 1)
    found = normalize(cut(bordered(images, augment), chosen, rows[chosen], augment), preparation, CPU, last)
    expected = torch.stack([theirs(images[i], rows[i], augment, preparation) for i in chosen])
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def test_torchvisions_newer_conversion_differs_in_the_last_bit_only() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    plain = Preparation(1, (16, 16), None, "bilinear", None, (0.0,), (1.0,))
    found = normalize(every, plain, CPU, False)
    scaled = V2.to_dtype(torch.from_numpy(every).permute(0, 3, 1, 2), torch.float32, scale=True)
    assert (found - scaled).abs().max() <= 2**-24


def test_images_that_may_not_be_written_to_stay_as_they_are_without_a_warning() -> None:
    images = noise(0, 4, 8, 6, 3)
    images.setflags(write=False)
    before = images.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalize(images[1:3], prepared(), CPU, True)
        Each(Augment(rotation=15), prepared(), 0)(images[0], 0, 0)
        prepared(resize=(4, 4), size=(4, 4)).apply(images[0])
    assert np.array_equal(images, before)


def test_crops_reach_every_place_and_half_of_the_images_are_flipped() -> None:
    augment, rows = Augment(crop=2, flip=0.5), draws(0, 0, 4000, COLUMNS)
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4, 1)
    found = cut(bordered(image, augment), np.zeros(4000, np.int64), rows, augment)
    kinds, counts = np.unique(found.reshape(4000, -1), axis=0, return_counts=True)
    assert len(kinds) == 2 * 5 * 5
    assert counts.min() > 40  # 80 expected, with a deviation of 9
    plain = cut(bordered(image, augment), np.zeros(4000, np.int64), rows, Augment(crop=2))
    assert 1880 < (found != plain).reshape(4000, -1).any(axis=1).sum() < 2120


# --- erasing --------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_a_rectangle_is_erased_in_exactly_the_images_whose_draw_is_below_p(
    height: int, width: int, p: float, one: float, other: float, seed: int
) -> None:
    least, most = sorted((one, other))
    augment, rows = Augment(erasing=p, erasing_scale=(least, most)), draws(seed, 0, 20, COLUMNS)
    x = torch.ones(20, 3, height, width)
    assert erase(x, rows, augment) is x
    for image, row in zip(x, rows, strict=True):
        holes = (image == 0).nonzero()
        assert (len(holes) > 0) is bool(row[ERASE] < p)
        if len(holes):
            top, left = holes[:, 1].min(), holes[:, 2].min()
            tall, wide = int(holes[:, 1].max() - top) + 1, int(holes[:, 2].max() - left) + 1
            assert len(holes) == 3 * tall * wide  # one rectangle, in all channels


def test_erased_areas_shapes_and_places_are_those_of_the_paper() -> None:
    """Zhong et al. 2020: area 2 to 33% (their 40%), aspect 0.3 to 1 / 0.3, anywhere; where it fits, as long as it does."""
    size, count = 200, 400
    rows = draws(0, 0, count, COLUMNS)
    x = erase(torch.ones(count, 1, size, size), rows, Augment(erasing=1.0))
    holes = [(image[0] == 0).nonzero() for image in x]
    extents = np.array([(int(h[:, 0].max() - h[:, 0].min()) + 1, int(h[:, 1].max() - h[:, 1].min()) + 1) for h in holes])
    areas, ratios = extents.prod(axis=1) / size**2, extents[:, 1] / extents[:, 0]
    assert 0.018 < areas.min() < 0.03
    assert 0.31 < areas.max() < 0.335
    assert np.mean(areas) == pytest.approx(0.175, abs=0.015)
    assert 0.29 < ratios.min() < 0.33
    assert 3.0 < ratios.max() < 3.4
    assert np.mean(np.log(ratios)) == pytest.approx(0, abs=0.1)
    corners = np.array([(int(h[:, 0].min()), int(h[:, 1].min())) for h in holes])
    assert corners.min() < 5
    assert (corners + extents).max() > size - 5


def test_without_erasing_nothing_is_erased() -> None:
    assert erase(torch.ones(9, 1, 3, 3), draws(0, 0, 9, COLUMNS), Augment()).min() == 1


# --- one image after the other --------------------------------------------------------------------------------------------

POLICIES = {
    "rotation": Augment(rotation=15),
    "resized crop": Augment(resized_crop=(0.2, 1.0, 0.75, 4 / 3)),
    "rand augment": Augment(rand_augment=(2, 9)),
    "trivial augment": Augment(trivial_augment=True),
    "all": Augment(resized_crop=(0.2, 1.0, 0.75, 4 / 3), rotation=5, rand_augment=(1, 30)),
}


def run(each: Each, epoch: int, index: int) -> Pixels:
    return each(noise(index, 12, 10, each.preparation.channels), epoch, index)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_done_to_an_image_depends_on_seed_epoch_and_index_alone(name: str, channels: int) -> None:
    each = Each(POLICIES[name], prepared((8, 6), channels, crop=(8, 6)), 3)
    keys = [(epoch, index) for epoch in range(3) for index in range(8)]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = {key: run(each, *key) for key in keys}
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    for key in reversed(keys):
        assert np.array_equal(run(each, *key), found[key])
        assert found[key].shape == (8, 6, channels)
        assert found[key].dtype == np.uint8
    images = {key: run(each, *key).tobytes() for key in keys}
    assert len({images[epoch, 0] for epoch in range(3)}) > 1
    other = Each(POLICIES[name], each.preparation, 4)
    assert any(run(other, 0, index).tobytes() != images[0, index] for index in range(8))


def test_a_worker_gives_the_same_images() -> None:
    each = Each(POLICIES["all"], prepared((8, 6), crop=(8, 6)), 3)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.starmap(run, [(each, 1, index) for index in range(6)])
    assert all(np.array_equal(image, run(each, 1, index)) for index, image in enumerate(found))
    assert pickle.loads(pickle.dumps(each)) == each


@pytest.mark.parametrize("first", ["nearest", "bilinear"])
def test_two_recipes_in_one_process_keep_their_own_interpolation(first: Literal["nearest", "bilinear"]) -> None:
    augment, made = Augment(resized_crop=(0.2, 0.3, 1.0, 1.0)), {}
    modes: tuple[Literal["nearest", "bilinear"], ...] = (
        ("nearest", "bilinear") if first == "nearest" else ("bilinear", "nearest")
    )
    two_colors = (noise(0, 20, 20, 3) > 127).astype(np.uint8) * 255
    for mode in modes:
        made[mode] = Each(augment, prepared((30, 30), interpolation=mode), 0)(two_colors, 0, 0)
    assert set(np.unique(made["nearest"])) <= {0, 255}
    assert len(np.unique(made["bilinear"])) > 2


def test_a_resized_crop_of_everything_is_torchvisions_resize() -> None:
    image = noise(3, 20, 20, 3)
    each = Each(Augment(resized_crop=(1.0, 1.0, 1.0, 1.0)), prepared((8, 8), crop=(8, 8)), 0)
    expected = V2.resize(torch.from_numpy(image).permute(2, 0, 1), [8, 8], antialias=True)
    assert np.array_equal(each(image, 0, 0), expected.permute(1, 2, 0).numpy())


# --- what is decided beforehand -------------------------------------------------------------------------------------------

INPUT = (3, 8, 6)
TRAIN = in_memory(4)
FILES = from_files(4)


@pytest.mark.parametrize(
    ("fields", "size", "resize", "crop", "final", "notes"),
    [
        # images of one size
        ({}, (8, 6), None, None, (8, 6), []),
        ({}, (9, 9), (8, 6), None, (8, 6), ["images are 9x9, and are resized to the network's 8x6"]),
        ({"crop": [8, 6]}, (9, 9), (9, 9), (8, 6), (8, 6), []),
        ({"crop": 4}, (9, 9), (9, 9), (4, 4), (4, 4), []),
        ({"resize": [10, 12]}, (8, 6), (10, 12), None, (10, 12), []),
        ({"resize": 10, "crop": [8, 6]}, (8, 6), 10, (8, 6), (8, 6), []),
        # images of many sizes
        ({}, None, (8, 6), None, (8, 6), ["images have the sizes of their files, and are resized to the network's 8x6"]),
        ({"resize": 7}, None, 7, (7, 7), (7, 7), []),
        ({"resize": 9, "crop": [8, 6]}, None, 9, (8, 6), (8, 6), []),
        ({"crop": [8, 6]}, None, 8, (8, 6), (8, 6), []),
        # random parts, resized
        ({"augment": {"random_resized_crop": {}}}, None, (8, 6), (8, 6), (8, 6), []),
        ({"augment": {"random_resized_crop": {}}, "resize": 9}, None, 9, (8, 6), (8, 6), []),
        ({"augment": {"random_resized_crop": {}}, "resize": 9, "crop": 7}, None, 9, (7, 7), (7, 7), []),
    ],
)  # fmt: skip
def test_sizes(
    fields: dict[str, object],
    size: tuple[int, int] | None,
    resize: int | tuple[int, int] | None,
    crop: tuple[int, int] | None,
    final: tuple[int, int],
    notes: list[str],
) -> None:
    found, reported = prepare(recipe(**fields), data(FILES, size=size), INPUT)
    assert (found.resize, found.crop, found.size) == (resize, crop, final)
    assert find_final_size(recipe(**fields), INPUT[1:]) == final
    assert list(reported) == notes
    for height, width in ((8, 6), (9, 9), (50, 7)):
        if size in (None, (height, width)):
            assert found.apply(noise(0, height, width, 3)).shape == (*final, 3)


def test_an_image_of_a_size_that_was_not_trained_with_is_resized() -> None:
    found, _ = prepare(recipe(), data(TRAIN), INPUT)
    assert found.apply(noise(0, 30, 40, 1)).shape == (8, 6, 3)
    image = noise(0, 8, 6, 3)
    assert found.apply(image) is image


@pytest.mark.parametrize(
    ("channels", "network", "note"),
    [(3, 3, ""), (1, 1, ""), (None, 3, ""), (None, 1, ""), (5, 5, ""),
     (1, 3, "images are gray, and are converted to RGB for the network"),
     (3, 1, "images are RGB, and are converted to gray for the network")],
)  # fmt: skip
def test_channels(channels: int | None, network: int, note: str) -> None:
    found, reported = prepare(recipe(), data(TRAIN, channels=channels), (network, 8, 6))
    assert found.channels == network
    assert reported == ((note,) if note else ())
    assert (found.mean, found.std) == ((0.5,) * network, (0.5,) * network)


@pytest.mark.parametrize(
    ("word", "channels", "mean", "std"),
    [
        ("data", 3, (), ()),
        ("none", 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ("half", 1, (0.5,), (0.5,)),
        ("imagenet", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("imagenet", 1, (pytest.approx(0.449),), (pytest.approx(0.226),)),
        ([0.25], 3, (0.25,) * 3, (0.25,) * 3),
        ([0.1, 0.2, 0.3], 3, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3)),
    ],
)
def test_statistics(word: object, channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    found, _ = prepare(recipe(normalize={"mean": word, "std": word}), data(TRAIN, channels=channels), (channels, 8, 6))
    assert (found.mean, found.std) == (mean, std)


@pytest.mark.parametrize(
    ("fields", "channels", "size", "network", "code"),
    [
        ({}, 3, (8, 6), (4, 8, 6), "data-channels"),
        ({}, 5, (8, 6), (3, 8, 6), "data-channels"),
        ({}, None, None, (2, 8, 6), "data-channels"),
        ({"crop": 9}, 3, (8, 6), INPUT, "recipe-crop"),
        ({"resize": 5, "crop": [5, 6]}, 3, None, INPUT, "recipe-crop"),
        ({"resize": 5, "augment": {"random_resized_crop": {}}}, 3, None, INPUT, "recipe-crop"),
        ({"normalize": {"mean": [0.1, 0.2]}}, 3, (8, 6), INPUT, "recipe-normalize"),
        ({"normalize": {"std": [0.1, 0.2, 0.3]}}, 1, (8, 6), (1, 8, 6), "recipe-normalize"),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: dict[str, object], channels: int | None, size: tuple[int, int] | None, network: tuple[int, int, int], code: str
) -> None:
    with pytest.raises(ResnetSpecError) as caught:
        prepare(recipe(**fields), data(TRAIN, channels=channels, size=size), network)
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    assert finding.help or code == "recipe-normalize"
    assert (finding.span is None) is (code == "data-channels")
