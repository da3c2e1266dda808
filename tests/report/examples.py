"""Runs with plausible figures, and hostile names of classes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.record import EpochRow, Timing

HOSTILE = (
    "$\\frac{1}{0}$",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "]]></style><script>",
    "--><svg onload=alert(1)>",
    "&lt;b&gt; &#60;",
    "line\nbreak\r\n\ttab",
    "\x1b[31mred\x1b[0m \x07",
    "\u202eevil",
    "\udc80not UTF-8",
    "\u732b\uff08\u306d\u3053\uff09",
    "\u0642\u0637\u0629",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301" * 40,
    "A" * 100_000,
    "",
    "  ",
    "{}%s%(x)d{0}",
    "=1+1",
)


def a_run(epochs: int, validation: bool = True) -> tuple[EpochRow, ...]:
    rows = []
    for epoch in range(1, epochs + 1):
        t = epoch / epochs
        accuracy = 0.9 - 0.6 * math.exp(-4 * t)
        loss = 2.2 * math.exp(-3 * t)
        row = EpochRow(epoch, 390 * epoch, 0.1 * (1 - t), loss, accuracy, test_loss=loss + 0.2, test_accuracy=accuracy - 0.03)
        if validation:
            row = replace(row, validation_loss=loss + 0.1, validation_accuracy=accuracy - 0.02, validation_top5=0.99)
        rows.append(row)
    return tuple(rows)


def timings(rows: tuple[EpochRow, ...]) -> tuple[Timing, ...]:
    return tuple(Timing(row.epoch, 4.25, 11_764.7, 5.0 * row.epoch) for row in rows)


def a_confusion(names: tuple[str, ...], images: int = 50) -> ConfusionMatrix:
    generator = np.random.default_rng(len(names))
    shares = generator.dirichlet(np.full(len(names), 0.3), size=len(names)) * 0.2 + 0.8 * np.eye(len(names))
    counts = [generator.multinomial(images, row / row.sum()).tolist() for row in shares]
    return ConfusionMatrix(names, tuple(map(tuple, counts)))


def numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))
