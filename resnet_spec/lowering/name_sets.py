"""Sets of names that share their parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from resnet_spec.diagnostics.suggestions import Vocabulary


class Names(Collection[str]):
    """Names from several mappings, in order and each once. Nothing is copied, since thousands of scopes may share a mapping."""

    __slots__ = ("_layers", "_size", "_vocabulary")

    def __init__(self, *layers: Mapping[str, object] | Names) -> None:
        self._layers = layers
        self._size = 0
        self._vocabulary: Vocabulary | None = None
        for number, layer in enumerate(layers):
            before = layers[:number]
            if len(layer) <= self._size:
                twice = sum(any(name in each for each in before) for name in layer)
            else:
                twice = sum(name in layer for name in {name for each in before for name in each})
            self._size += len(layer) - twice

    def __contains__(self, name: object) -> bool:
        return any(name in layer for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        for number, layer in enumerate(self._layers):
            yield from (name for name in layer if not any(name in before for before in self._layers[:number]))

    def __len__(self) -> int:
        return self._size

    @property
    def vocabulary(self) -> Vocabulary:
        """The names, indexed for suggestions."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self)
        return self._vocabulary
