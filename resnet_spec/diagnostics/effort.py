"""Limits the work for suggestions about one text, which may have tens of thousands of mistakes.

Every mistake is a finding. What makes a finding helpful, such as the word that was meant or the edits of a fix, takes longer,
and so it is sought for the first mistakes of a text only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Work = Literal["word", "slip", "place"]
Outcome = TypeVar("Outcome")

MOST: dict[Work, int] = {
    "word": 500,  # unknown words for which the closest known one is sought
    "slip": 100,  # texts that are no expressions, and for which a corrected one is sought
    "place": 400,  # places of the text that fixes are made for
}


@dataclass(slots=True, eq=False)
class _Effort:
    """The work for one text: how much is left of each kind, and the results of what was done."""

    left: dict[Work, int] = field(default_factory=lambda: dict(MOST))
    done: dict[tuple[Work, Hashable], object] = field(default_factory=dict)


_current: ContextVar[_Effort | None] = ContextVar("effort", default=None)


@contextmanager
def limit_effort() -> Iterator[None]:
    """Limit the work inside, which is about one text. A text that is checked within the check of another has its own limits."""
    token = _current.set(_Effort())
    try:
        yield
    finally:
        _current.reset(token)


def try_work(kind: Work, about: Hashable, work: Callable[[], Outcome], otherwise: Outcome) -> Outcome:
    """The result of some work, or `otherwise` if too much was done for the text. The same work is done, and counted, once.

    Args:
        about: what the result depends on.
    """
    effort = _current.get()
    if effort is None:
        return work()
    key = (kind, about)
    if key not in effort.done:
        if not effort.left[kind]:
            return otherwise
        effort.left[kind] -= 1
        effort.done[key] = work()
    result: Outcome = effort.done[key]  # type: ignore[assignment]
    return result


def may_edit(about: Hashable) -> bool:
    """Whether fixes are still made for another place of the text."""
    return try_work("place", about, lambda: True, otherwise=False)
