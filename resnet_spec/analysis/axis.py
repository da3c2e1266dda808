"""Sizes along one axis: exact step functions of the input size, and the sets of input sizes that they determine.

Operations change the size of an axis by floor arithmetic, so the size of every value is a non-decreasing function of the input
size with `f(n + period) = f(n) + gain`. The input sizes at which two such functions are equal, or at which one has a given
value or at least a given value, are a finite union of intervals and residue classes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd, lcm
from operator import gt

from resnet_spec.ops import AxisMap

MAX_PERIOD = 50_000


class UnsolvedError(Exception):
    """The solver does not support this network, or its limits were exceeded."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A function of the input size: `values` at 1 to `len(values)` pixels, its period, and `gain` more in each period after."""

    values: tuple[int, ...]
    gain: int

    def at(self, n: int) -> int:
        """The value at an input size of `n` pixels (1 or more)."""
        periods, rest = divmod(n - 1, len(self.values))
        return self.values[rest] + periods * self.gain

    def then(self, by: AxisMap) -> Steps:
        """The function after an operation with this axis map. Raises ValueError if the map is not periodic as declared."""
        repeats = by.period // gcd(self.gain, by.period) if self.gain else 1
        period = len(self.values) * repeats
        if period > MAX_PERIOD:
            raise UnsolvedError(f"the sizes repeat only after {period:,} pixels")
        gain = self.gain * repeats // by.period * by.gain
        values = tuple([by.size(self.at(n)) for n in range(1, period + 1)])
        following = by.size(self.at(period + 1))
        if following != values[0] + gain or any(map(gt, values, (*values[1:], following))):
            raise ValueError(f"an axis map that declares {by.gain} pixels for {by.period} computes {(*values, following)}")
        return Steps(values, gain)

    def reaches(self, bound: int) -> int | None:
        """The smallest size from which on the value is at least `bound`; None if it never is."""
        if self.gain == 0:
            return next((n for n, value in enumerate(self.values, 1) if value >= bound), None)
        last = max(0, -(-(bound - self.values[0]) // self.gain)) * len(self.values) + 1
        return bisect_left(range(last + 1), bound, lo=1, key=self.at)

    def level(self, value: int) -> Sizes:
        """The sizes at which the function has this value."""
        start, stop = self.reaches(value), self.reaches(value + 1)
        if start is None or start == stop:
            return NONE
        return (Piece(start, None if stop is None else stop - 1),)

    def divisible(self, by: int) -> Sizes:
        """The sizes at which the value is a multiple of `by`."""
        period = len(self.values) * (by // gcd(self.gain, by))
        if period > MAX_PERIOD:
            raise UnsolvedError(f"the sizes repeat only after {period:,} pixels")
        return simplify([Piece(1, None, period, frozenset(n % period for n in range(1, period + 1) if self.at(n) % by == 0))])

    def equals(self, other: Steps) -> Sizes:
        """The sizes at which two functions are equal."""
        if self == other:
            return ALL
        period = lcm(len(self.values), len(other.values))
        if period > MAX_PERIOD:
            raise UnsolvedError(f"two branches agree in a pattern of {period:,} pixels")
        drift = self.gain * (period // len(self.values)) - other.gain * (period // len(other.values))
        apart = [self.at(n) - other.at(n) for n in range(1, period + 1)]
        if drift == 0:
            residues = frozenset(n % period for n, gap in enumerate(apart, 1) if gap == 0)
            return simplify([Piece(1, None, period, residues)])
        found = (n + period * (-gap // drift) for n, gap in enumerate(apart, 1) if gap % drift == 0 and -gap // drift >= 0)
        return simplify([Piece(n, n) for n in found])


IDENTITY = Steps((1,), 1)


@dataclass(frozen=True, slots=True)
class Piece:
    """Sizes from `least` to `most` (None: no end) whose remainder by `period` is one of `residues`."""

    least: int
    most: int | None
    period: int = 1
    residues: frozenset[int] = frozenset({0})

    def __contains__(self, n: int) -> bool:
        return self.least <= n and (self.most is None or n <= self.most) and n % self.period in self.residues


Sizes = tuple[Piece, ...]
ALL: Sizes = (Piece(1, None),)
NONE: Sizes = ()


def contains(sizes: Sizes, n: int) -> bool:
    """Whether a size is in a set."""
    return any(n in piece for piece in sizes)


def at_least(bound: int | None) -> Sizes:
    """All sizes from `bound` on; no sizes if it is None."""
    return NONE if bound is None else (Piece(max(bound, 1), None),)


def intersect(first: Sizes, second: Sizes) -> Sizes:
    """The sizes in both sets."""
    if first == ALL:
        return second
    if second == ALL:
        return first
    return simplify([_both(a, b) for a in first for b in second])


def _both(a: Piece, b: Piece) -> Piece:
    ends = [end for end in (a.most, b.most) if end is not None]
    period = lcm(a.period, b.period)
    if period > MAX_PERIOD:
        raise UnsolvedError(f"conditions repeat only after {period:,} pixels")
    residues = frozenset(r for r in range(period) if r % a.period in a.residues and r % b.period in b.residues)
    return Piece(max(a.least, b.least), min(ends) if ends else None, period, residues)


def simplify(pieces: Iterable[Piece]) -> Sizes:
    """The same sizes in fewer pieces: tight ends, small periods, neighboring intervals in one."""
    tight = [made for piece in pieces if (made := _tighten(piece)) is not None]
    tight.sort(key=lambda piece: (piece.least, piece.period, sorted(piece.residues)))
    merged: list[Piece] = []
    for piece in tight:
        before = merged[-1] if merged else None
        same = before is not None and (before.period, before.residues) == (piece.period, piece.residues)
        if before is not None and same and (before.most is None or piece.least <= before.most + before.period):
            end = None if before.most is None or piece.most is None else max(before.most, piece.most)
            merged[-1] = Piece(before.least, end, piece.period, piece.residues)
        elif not any(_covers(whole, piece) for whole in merged):
            merged.append(piece)
    return tuple(merged)


def _covers(whole: Piece, piece: Piece) -> bool:
    inside = whole.least <= piece.least and (whole.most is None or (piece.most is not None and piece.most <= whole.most))
    return inside and whole.period == 1


def _tighten(piece: Piece) -> Piece | None:
    """The piece with its ends on members and the smallest period; None if it is empty."""
    if not piece.residues or (piece.most is not None and piece.most < piece.least):
        return None
    period, residues = piece.period, piece.residues
    for smaller in range(1, period):
        if period % smaller == 0:
            kept = frozenset(r % smaller for r in residues)
            if len(kept) * (period // smaller) == len(residues):
                period, residues = smaller, kept
                break
    least = next(n for n in range(piece.least, piece.least + period) if n % period in residues)
    if piece.most is None:
        return Piece(least, None, period, residues)
    if least > piece.most:
        return None
    most = next(n for n in range(piece.most, piece.most - period, -1) if n % period in residues)
    if least == most:
        return Piece(least, most)
    return Piece(least, most, period, residues)


def describe(sizes: Sizes) -> str:
    """`219 to 326`, `1 or more`, `2 or more, multiples of 2`."""
    if not sizes:
        return "none"
    return "; ".join(map(_describe, sizes))


def _describe(piece: Piece) -> str:
    if piece.most == piece.least:
        return f"{piece.least}"
    span = f"{piece.least} or more" if piece.most is None else f"{piece.least} to {piece.most}"
    if piece.period == 1:
        return span
    if piece.residues == {0}:
        return f"{span}, multiples of {piece.period}"
    if piece.period == 2:
        return f"{span}, odd"
    rests = ", ".join(map(str, sorted(piece.residues)))
    return f"{span}, remainder {rests} by {piece.period}"
