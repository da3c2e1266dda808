"""How an operation is written in plain PyTorch: the call that makes its module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SourceValue = int | float | bool | str | tuple[int, ...] | None


class Required:
    """In place of a default: the argument is always written."""


REQUIRED = Required()

# Arguments that count channels: one number of a block is often several of them.
CHANNELS = frozenset(
    (
        *("in_channels", "out_channels", "num_features", "num_channels", "channels", "normalized_shape", "in_features"),
        *("out_features", "num_parameters", "groups", "num_groups", "start", "stop"),
    )
)


@dataclass(frozen=True, slots=True)
class SourceArgument:
    """An argument of a call. It is left out where its value is `default`; `positional`: it is written without its name."""

    name: str
    value: SourceValue
    default: SourceValue | Required = REQUIRED
    positional: bool = False


@dataclass(frozen=True, slots=True)
class SourceCall:
    """The call that makes a module. `callee` is a name in `torch`, such as `nn.Conv2d`, or a class of `ops.layers`."""

    callee: str
    arguments: tuple[SourceArgument, ...] = ()

    @property
    def custom(self) -> bool:
        """Whether the class is not one of torch's."""
        return "." not in self.callee


def make_call(
    callee: str,
    arguments: Mapping[str, Any],
    positional: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
) -> SourceCall:
    """Make a call. Pairs of equal numbers become one number, as torch accepts it."""
    known = {name: _short(value) for name, value in (defaults or {}).items()}
    made = [
        SourceArgument(name, _short(arguments[name]), known.get(name, REQUIRED), name in positional)
        for name in (*positional, *(name for name in arguments if name not in positional))
    ]
    return SourceCall(callee, tuple(made))


def _short(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] else value
