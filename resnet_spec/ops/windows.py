"""The arithmetic of sliding windows along one axis, exactly as torch does it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from resnet_spec.ops.definition import AxisMap, Pair, Problem, Shape, show


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
    """The axis map of a window, valid from the first size of at least `least` that it fits into; None if it keeps all sizes."""
    if stride == 1 and least <= 1 and size(1) == 1:
        return None
    fits = bisect_left(range(dilation * (kernel - 1) + 2), 1, key=size)
    return AxisMap(size, stride, 1, max(least, fits, 1))


def window_formula(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, result: int) -> str:
    """`floor((224 + 2*3 - 7) / 2) + 1 = 112`."""
    reach = str(kernel) if dilation == 1 else f"{dilation}*({kernel} - 1) - 1"
    padded = f"{n} + 2*{padding} - {reach}" if padding else f"{n} - {reach}"
    exact = (n + 2 * padding - dilation * (kernel - 1) - 1) // -stride * -1 + 1 if ceil_mode else result
    text = f"{'ceil' if ceil_mode else 'floor'}(({padded}) / {stride}) + 1 = {exact}"
    return text if exact == result else f"{text}, less a window that begins in the padding = {result}"


def both_axes(x: Shape, one_axis: Callable[[int, int], str]) -> str:
    """A formula for height and width, written once if both are equal."""
    height, width = one_axis(x[1], 0), one_axis(x[2], 1)
    return height if height == width else f"height: {height}; width: {width}"


def does_not_fit(what: str, x: Shape, kernel: Pair, padding: Pair, dilation: Pair) -> Problem:
    """The problem for a kernel that is larger than the padded image."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = tuple(n + 2 * p for n, p in zip(x[1:], padding, strict=True))
    dilated = " (dilated)" if reach != kernel else ""
    around = f" ({show(padded)} with its padding)" if any(padding) else ""
    high, wide = (max((n - 1) // d + 1, 1) for n, d in zip(padded, dilation, strict=True))
    most = (high, wide)
    fits = f"`kernel_size: {pair_text(most)}` is the largest that fits here"
    if what == "avg_pool2d":
        fits = f"write `{{op: adaptive_avg_pool2d, output_size: 1}}`, which takes any size; {fits}"
    if what == "conv2d" and kernel[0] == kernel[1] and (meant := _digits_run_together(kernel[0])):
        fits = f"for a kernel of {meant[0]} and a padding of {meant[1]} write `kernel_size: {meant[0]}, padding: {meant[1]}`"
    return Problem(
        "kernel-too-large",
        f"{what} has a kernel of {show(reach)}{dilated}, larger than its {show(x[1:])} input{around}",
        f"{fits}; or use fewer strides before it, or a larger `input`",
        ("kernel_size", "dilation", "padding"),
        by_size=True,
        proposals=_that_fit(what, kernel, dilation),
    )


def _that_fit(what: str, kernel: Pair, dilation: Pair) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Fields with which a window fits that is too large: the kernel and padding that it most likely means.

    The largest kernel that fits is not among them: as large as the image, it is hardly what is meant.
    """
    found: list[tuple[tuple[str, str], ...]] = []
    if what == "conv2d" and kernel[0] == kernel[1] and (meant := _digits_run_together(kernel[0])):
        found.append((("kernel_size", str(meant[0])), ("padding", str(meant[1]))))
    if what == "avg_pool2d":
        found.append((("", "{op: adaptive_avg_pool2d, output_size: 1}"),))
    if all(k % 2 for k in kernel):
        found.append((("padding", pair_text(tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)))),))
    return tuple(found)


def pair_text(pair: tuple[int, ...]) -> str:
    """A height and a width as a spec writes them: `3` for two equal ones, else `[1, 7]`."""
    return str(pair[0]) if len(set(pair)) == 1 else str(list(pair))


def _digits_run_together(kernel: int) -> tuple[int, int] | None:
    """The kernel and the padding that `31` most likely means: 3 and 1, written without a separator."""
    size, padding = divmod(kernel, 10)
    return (size, padding) if size in (3, 5, 7, 9) and padding == size // 2 else None
