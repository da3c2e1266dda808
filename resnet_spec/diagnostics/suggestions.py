"""Suggestions for unknown words.

A text may contain tens of thousands of unknown words, and define as many others. So a word is compared with only a few known
ones, which are found by their pairs of letters, and long words are never compared letter by letter. The closest spelling is
sought for the first unknown words of a text (see `effort`); only synonyms are suggested for the others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import islice, pairwise, takewhile

from .effort import try_work

MOST_KNOWN = 1000  # known words that are looked at
MANY = 100
MOST_COMPARED = 8  # known words that a word is compared with letter by letter
MOST_LETTERS = 40  # in words that are compared letter by letter
NEIGHBORS = 6  # of many known words: those that are next to a word in alphabetical order, on each side
LIKENESS = 0.6  # 2 * common letters / all letters
LIKENESS_OF_ENDS = 0.8  # the same, of the letters that two long words begin and end with


def closest(word: str, known: Iterable[str] | Vocabulary, synonyms: dict[str, str] | None = None) -> str | None:
    """The known word that was most likely meant by `word`: a common synonym, else the closest spelling."""
    vocabulary = known if isinstance(known, Vocabulary) else _vocabulary(tuple(islice(known, MOST_KNOWN)))
    meant = synonyms.get(word.lower()) if synonyms else None
    if meant is not None and meant in vocabulary.words:
        return meant
    if not vocabulary.words:
        return None
    return try_work("word", (vocabulary, word.lower()), lambda: vocabulary.closest(word.lower()), otherwise=None)


class Vocabulary:
    """Known words, indexed where they are compared with others. Of very many, only the first are compared: the `choices`."""

    def __init__(self, words: Collection[str]) -> None:
        self.words = words
        self._lists: dict[int, str] = {}

    def list(self, most: int) -> str:
        """What `list_known` returns; the words must not change."""
        if most not in self._lists:
            self._lists[most] = list_known(self.words, most)
        return self._lists[most]

    @cached_property
    def choices(self) -> dict[str, None]:
        return dict.fromkeys(islice(self.words, MOST_KNOWN))

    @cached_property
    def _spelled(self) -> dict[str, str]:
        return {choice.lower(): choice for choice in self.choices}

    @cached_property
    def _sorted(self) -> tuple[Sequence[str], Sequence[str]]:
        """Many words in alphabetical order, and by their ends; none where there are only a few."""
        words = sorted(self._spelled) if len(self._spelled) > MANY else []
        return words, sorted(word[::-1] for word in words)

    def closest(self, word: str) -> str | None:
        """The known word with the closest spelling, if one is close enough."""
        if word in self._spelled or not self._spelled:
            return self._spelled.get(word)
        pieces = _pieces(word)
        likely = [(len(pieces & _pieces(each)), each) for each in self._candidates(word)]
        best = sorted((pair for pair in likely if pair[0]), key=lambda pair: -pair[0])[:MOST_COMPARED]
        candidates = [each for _, each in best]
        short = [each for each in candidates if _is_short(each)] if _is_short(word) else []
        if short:
            import difflib  # importing it takes time, and only a spec with a mistake needs it

            found = difflib.get_close_matches(word, short, n=1, cutoff=LIKENESS)
            if found:
                return self._spelled[found[0]]
        same_ends = ((_likeness_of_ends(word, each), each) for each in candidates if each not in short)
        like, near = max(same_ends, default=(0.0, ""))
        return self._spelled[near] if like >= LIKENESS_OF_ENDS else None

    def _candidates(self, word: str) -> Iterable[str]:
        """The words to look at: of many, those that begin or end most like `word`."""
        by_begin, by_end = self._sorted
        if not by_begin:
            return self._spelled
        begin, end = bisect_left(by_begin, word), bisect_left(by_end, word[::-1])
        alike = by_begin[max(0, begin - NEIGHBORS) : begin + NEIGHBORS]
        return dict.fromkeys([*alike, *(each[::-1] for each in by_end[max(0, end - NEIGHBORS) : end + NEIGHBORS])])


@lru_cache(maxsize=16)
def _vocabulary(choices: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(choices)


@lru_cache(maxsize=4096)
def _pieces(word: str) -> frozenset[str]:
    """The letters of a word and its pairs of neighboring letters; of a long one, those near its ends."""
    ends = word if len(word) <= 2 * MOST_LETTERS else word[:MOST_LETTERS] + word[-MOST_LETTERS:]
    return frozenset([*ends, *map("".join, pairwise(ends))])


def _is_short(word: str) -> bool:
    """Whether a word may be compared letter by letter: the time for that grows with the square of repeated letters."""
    return len(word) <= MOST_LETTERS and 3 * len(set(word)) >= len(word)


def _likeness_of_ends(first: str, second: str) -> float:
    """2 * the letters that two words begin and end with / all letters."""
    begin = _common(first, second)
    end = _common(first[begin:][::-1], second[begin:][::-1])
    return 2 * (begin + end) / (len(first) + len(second))


def _common(first: str, second: str) -> int:
    """The length of the common prefix of two words."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def suggestion(word: str, known: Collection[str] | Vocabulary, synonyms: dict[str, str] | None = None, most: int = 12) -> str:
    """The help for an unknown word: the closest known word, else up to `most` of the known words; empty if there are none."""
    return show_suggestion(closest(word, known, synonyms), known, most)


def show_suggestion(near: str | None, known: Collection[str] | Vocabulary, most: int = 12) -> str:
    """The help for an unknown word: the known word that was probably meant, else up to `most` of the known words."""
    if near is not None:
        return f"did you mean `{near}`?"
    return known.list(most) if isinstance(known, Vocabulary) else list_known(known, most)


def list_known(known: Collection[str], most: int = 12) -> str:
    """A list of the first `most` known words, with the number of the others."""
    if not known or not most:
        return ""
    more = len(known) - most
    return "known here: " + ", ".join(f"`{each}`" for each in islice(known, most)) + (f", and {more} more" if more > 0 else "")


# Names from other libraries and papers, with their equivalents in this language.
SYNONYMS: dict[str, str] = {
    "filters": "out_channels",
    "planes": "out_channels",
    "channels": "out_channels",
    "num_filters": "out_channels",
    "features": "out_features",
    "units": "out_features",
    "kernel": "kernel_size",
    "ksize": "kernel_size",
    "strides": "stride",
    "pad": "padding",
    "pads": "padding",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "blocks": "depth",
    "repeats": "depth",
    "num_blocks": "depth",
    "inplanes": "in_channels",
    "conv": "conv2d",
    "convolution": "conv2d",
    "bn": "batch_norm",
    "batchnorm": "batch_norm",
    "batch_norm2d": "batch_norm",
    "batchnorm2d": "batch_norm",
    "ln": "layer_norm",
    "gn": "group_norm",
    "swish": "silu",
    "fc": "linear",
    "dense": "linear",
    "maxpool": "max_pool2d",
    "max_pool": "max_pool2d",
    "avgpool": "avg_pool2d",
    "avg_pool": "avg_pool2d",
    "global_avg_pool": "adaptive_avg_pool2d",
    "gap": "adaptive_avg_pool2d",
    "num_classes": "classes",
    "cat": "concat",
    "mul": "multiply",
    "sum": "add",
    **dict.fromkeys(("flip", "hflip", "horizontal_flip", "random_flip"), "random_horizontal_flip"),
    "crop": "random_crop",
    "inputs": "from",
    **dict.fromkeys(("flops", "gflops", "mult_adds", "multiply_adds"), "macs"),
    **dict.fromkeys(("parameters", "num_params", "param_count", "n_params"), "params"),
    **dict.fromkeys(("output_shape", "out_shape"), "output"),
}
