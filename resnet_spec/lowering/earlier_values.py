"""The values that `from`, `else` and `like` may name at a place in a spec, and what to say about other names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from resnet_spec.diagnostics import Diagnostic, Label, Span, closest
from resnet_spec.diagnostics.suggestions import list_known
from resnet_spec.language.editing import replace_value
from resnet_spec.language.fixes import propose, propose_word
from resnet_spec.language.spec import Group, ScalarNode, SpecEntry

MOST_EARLIER = 100  # the number of last values that an unknown one is compared with


def paths_with_groups(entries: Iterable[SpecEntry], within: str = "") -> Iterator[tuple[str, Span]]:
    """The paths of entries in the file, with the places where they are first written; groups are among them."""
    for entry in entries:
        path = within + entry.name
        yield path, entry.key
        if isinstance(entry, Group):
            yield from paths_with_groups(entry.entries, path + ".")


@dataclass(frozen=True, slots=True)
class EarlierValues:
    """The values that were computed before a place, by their paths. `all` are those of the whole network or block, with the
    places where they are written, and `around` the groups that the place is in."""

    all: Mapping[str, Span]
    names: dict[str, None] = field(default_factory=lambda: {"input": None})
    around: tuple[str, ...] = ()

    def inside(self, group: str) -> EarlierValues:
        """The values at a place in a group."""
        return EarlierValues(self.all, self.names, (*self.around, *group.split(".")))

    def add(self, name: str) -> None:
        """Add the value of an entry of this place, which also is the last one of the groups that it is in."""
        path = (*self.around, *name.split("."))
        for length in range(len(self.around) + 1, len(path)):
            self.names[".".join(path[:length])] = None
        self.names[".".join(path)] = None

    def knows(self, name: str) -> bool:
        """Whether a name means a value here: in the same group, or in one around it."""
        return any(".".join((*self.around[:length], name)) in self.names for length in range(len(self.around), -1, -1))

    def explain(self, name: ScalarNode, where: str = "") -> Diagnostic:
        """The finding about a name that means no earlier value (of `where`, if that is given)."""
        message = f"`{name.text}` is not an earlier value{where}"
        later = self._find_later(name.text)
        related = () if later is None else (Label(later, "it is computed later, here"),)
        around = next((prefix for prefix in _prefixes(name.text) if self.knows(prefix)), None)
        if around is not None and later is None:
            message = f"`{name.text}` cannot be read from outside: it is inside `{around}`"
            help = f"write `{around}`, which is its last value"
            return Diagnostic("unknown-name", message, name.span, help=help, fixes=propose(help, replace_value(name, around)))
        near = closest(name.text, islice(reversed(self.names), MOST_EARLIER))
        help = list_known(self.names) if near is None else f"did you mean `{near}`?"
        if later is not None and near is None:
            help = "move it before this entry, or read an earlier value: " + help
        fixes = propose_word(name.span, near, name.text)
        return Diagnostic("unknown-name", message, name.span, related=related, help=help, fixes=fixes)

    def _find_later(self, name: str) -> Span | None:
        paths = (".".join((*self.around[:length], name)) for length in range(len(self.around), -1, -1))
        return next((self.all[path] for path in paths if path in self.all), None)


def _prefixes(name: str) -> Iterator[str]:
    """The paths that a path begins with, the longest first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
