"""The arithmetic of sliding windows along one axis, exactly as torch does it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from .definition import AxisMap, Pair, Problem, Shape, show


def window_size(n: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool = False) -> int:
    """Positions of a window on `n` pixels; not positive where the window does not fit.

    With `ceil_mode` a last window may begin inside the input (or its left padding) and reach past the end; one that would
    begin in the right padding is dropped (`pooling_output_shape` in ATen).
    """
    room = n + before + after - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= n + before else count


def window_map(size: Callable[[int], int], kernel: int, stride: int, dilation: int, least: int = 1) -> AxisMap | None:
    """The axis map of a window: it fits from the first size of at least `least` that gives a pixel. None if it keeps all."""
    if stride == 1 and least <= 1 and size(1) == 1:
        return None
    fits = bisect_left(range(dilation * (kernel - 1) + 2), 1, key=size)
    return AxisMap(size, stride, max(least, fits, 1))


def window_formula(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, result: int) -> str:
    """`floor((224 + 2*3 - 7) / 2) + 1 = 112`."""
    reach = str(kernel) if dilation == 1 else f"{dilation}*({kernel} - 1) - 1"
    padded = f"{n} + 2*{padding} - {reach}" if padding else f"{n} - {reach}"
    exact = (n + 2 * padding - dilation * (kernel - 1) - 1) // -stride * -1 + 1 if ceil_mode else result
    text = f"{'ceil' if ceil_mode else 'floor'}(({padded}) / {stride}) + 1 = {exact}"
    return text if exact == result else f"{text}, less a window that begins in the padding = {result}"


def both_axes(x: Shape, one_axis: Callable[[int, int], str]) -> str:
    """A formula for height and width, said once where they agree."""
    height, width = one_axis(x[1], 0), one_axis(x[2], 1)
    return height if height == width else f"height: {height}; width: {width}"


def does_not_fit(what: str, x: Shape, kernel: Pair, padding: Pair, dilation: Pair) -> Problem:
    """The problem of a kernel larger than what it slides over."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = tuple(n + 2 * p for n, p in zip(x[1:], padding, strict=True))
    dilated = " (dilated)" if reach != kernel else ""
    around = f", padded {show(padded)}" if any(padding) else ""
    return Problem(
        "kernel-too-large",
        f"{what} has a kernel of {show(reach)}{dilated}, larger than the {show(x[1:])} image that enters{around}",
        "use a smaller kernel, more padding, less stride before it, or a larger input",
    )
