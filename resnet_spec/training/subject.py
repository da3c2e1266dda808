"""What is trained: a module, and what is known of it without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that takes images `(N, C, H, W)` of `input` (C, H, W) and gives `(N, outputs)`.

    `spec` is its text and `fingerprint` its hash, both empty for a module that is not from a spec. `memory(batch)` estimates
    the bytes that training takes, None where nobody knows. `diagram` draws it as SVG, or gives None
    where nothing here can draw.
    """

    name: str
    module: nn.Module
    input: tuple[int, int, int]
    outputs: int
    params: int
    macs: int | None = None
    spec: str = ""
    fingerprint: str = ""
    memory: Callable[[int], int] | None = None
    diagram: Callable[[], bytes | None] | None = None
