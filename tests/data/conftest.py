"""What several tests of the data sets use: opening with the usual arguments, and the one refusal expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_spec.data import Data, open_data
from resnet_spec.data.dataset import Pixels
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError

Open = Callable[..., Data]
Refused = Callable[..., Diagnostic]


@pytest.fixture
def opened() -> Open:
    def run(text: str, skip_bad: bool = False, split: tuple[float, float] = (0.2, 0.2), **options: Any) -> Data:
        return open_data(text, input=(3, 32, 32), split=split, skip_bad=skip_bad, **options)

    return run


@pytest.fixture
def refused(opened: Open) -> Refused:
    def run(text: str, **options: object) -> Diagnostic:
        with pytest.raises(ResnetSpecError) as caught:
            opened(text, **options)
        (found,) = caught.value.diagnostics
        assert found.message.isprintable()
        return found

    return run


def noise(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, *size, 3)).save(path)
