"""The part of a page that shows calibration: a reliability diagram as inline SVG, in the colors of the page."""

from __future__ import annotations

from resnet_spec.report.calibration import Reliability
from resnet_spec.report.page_parts import folded, table
from resnet_spec.report.tables import percent_text

_LEFT, _TOP, _SIDE, _COUNTS = 44, 12, 240, 48  # the places of the diagram and of the counts below it, in pixels


def calibration_html(reliability: Reliability) -> str:
    """The expected calibration error, the diagram and its figures; empty without images."""
    images = sum(reliability.images)
    if not images:
        return ""
    accuracy, confidence = sum(reliability.correct) / images, sum(reliability.confidence) / images
    kind = "surer than it is right" if confidence > accuracy else "right more often than it is sure"
    text = (
        f"Expected calibration error <b>{percent_text(reliability.error)}</b>: how far the probability of the predicted class"
        f" and the share of correct predictions lie apart, in {len(reliability.images)} bins (Guo et al. 2017). On average the"
        f" network gives {percent_text(confidence, 1)}, and {percent_text(accuracy, 1)} are correct: it is {kind}."
    )
    width = 1 / len(reliability.images)
    lines = [
        (
            f"{percent_text(i * width, 0)} to {percent_text((i + 1) * width, 0)}",
            *(f"{each[0]:,}", percent_text(each[1], 1), percent_text(each[2], 1)),
        )
        for i, each in enumerate(reliability.bins)
        if each is not None
    ]
    figures = table(["probability", "images", "mean probability", "correct"], lines)
    return f'<p class="hint">{text}</p>{_diagram(reliability)}{folded("the figures", figures)}'


def _diagram(reliability: Reliability) -> str:
    """Bars that end in a line at the accuracy, with the gap to the mean confidence; below, the share of images in each bin."""
    count, step = len(reliability.images), _SIDE / len(reliability.images)
    floor = _TOP + _SIDE
    base = floor + 34 + _COUNTS
    parts: list[str] = []
    for tick in (0, 25, 50, 75, 100):
        place = _SIDE * tick / 100
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{floor - place:g}" y2="{floor - place:g}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{floor - place + 4:g}" text-anchor="end">{tick}%</text>')
        parts.append(f'<text x="{_LEFT + place:g}" y="{floor + 16}" text-anchor="middle">{tick}%</text>')
    most = max(reliability.images)
    for i, each in enumerate(reliability.bins):
        if each is None:
            continue
        images, confidence, accuracy = each
        x = _LEFT + i * step + 1
        high, low = max(confidence, accuracy), min(confidence, accuracy)
        parts.append(_box("hit", x, floor, step - 2, accuracy * _SIDE))
        parts.append(_box("gap", x, floor - low * _SIDE, step - 2, (high - low) * _SIDE))
        parts.append(_box("hit", x, floor - accuracy * _SIDE + 1.5, step - 2, 3))
        parts.append(_box("count", x, base, step - 2, max(1.0, images / most * _COUNTS)))
    parts.append(f'<line class="ideal" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{floor}" y2="{_TOP}"/>')
    parts.append(f'<text x="{_LEFT}" y="{base + 16}">images at each probability</text>')
    label = f"reliability diagram in {count} bins"
    return (
        f'<svg class="reliability" role="img" aria-label="{label}" viewBox="0 0 {_LEFT + _SIDE + 16} {base + 24}">'
        + "".join(parts)
        + '</svg><p class="key"><i class="hit"></i>correct <i class="gap"></i>gap to the probability'
        ' <i class="ideal"></i>ideal</p>'
    )


def _box(kind: str, x: float, bottom: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.2f}" y="{bottom - height:.2f}" width="{width:.2f}" height="{height:.2f}"/>'
