"""Reads the pickled files of CIFAR without executing code.

A pickle names functions to call. These files need five, which are replaced by classes that only store their arguments; any
other name is an error.
"""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

LARGEST = 1 << 30  # bytes; the largest published file has 155 million


class UnreadablePickleError(Exception):
    """A file that cannot be unpickled. `name` is the function that it would call, if that is the reason."""

    def __init__(self, why: str, name: str = "") -> None:
        super().__init__(why)
        self.name = name


class StoredArray:
    """Replaces a numpy array: stores the state in the pickle."""

    __slots__ = ("state",)

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def bytes(self) -> bytes | None:
        """The content of an array of bytes, else None.

        The state is (version, shape, dtype, whether in Fortran order, content).
        """
        match self.state:
            case (_, tuple(), _StoredDtype(name="u1"), False | 0, bytes() as raw):
                return raw
            case (_, tuple(), _StoredDtype(name="u1"), False | 0, str() as raw):  # a string of Python 2, read as Latin-1
                return raw.encode("latin-1")
        return None


class _StoredDtype:
    """Replaces a numpy dtype."""

    __slots__ = ("name",)

    def __init__(self, name: object = "", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Reconstruct:
    """Replaces `numpy.core.multiarray._reconstruct`."""

    __slots__ = ()

    def __call__(self, *_: object) -> StoredArray:
        return StoredArray()


class _Encode:
    """Replaces `_codecs.encode`, which Python 3 uses for bytes in the older protocols."""

    __slots__ = ()

    def __call__(self, text: str, *_: object) -> bytes:
        return str.encode(text, "latin-1")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): StoredArray,
    ("numpy", "dtype"): _StoredDtype,
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("_codecs", "encode"): _Encode(),
}
# The errors that the unpickler raises for damaged files.
_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, struct.error),
    *(OverflowError, MemoryError, RecursionError),
)


class _Unpickler(pickle.Unpickler):
    refused = ""

    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        self.refused = f"{module}.{name}"
        raise pickle.UnpicklingError(self.refused)


def unpickle(path: Path) -> dict[object, object]:
    """Unpickle the dictionary in a file, with its keys as text. Raises UnreadablePickleError and OSError."""
    if path.stat().st_size > LARGEST:
        raise UnreadablePickleError(f"has more than {LARGEST} bytes")
    with path.open("rb") as file:
        unpickler = _Unpickler(file, encoding="latin-1")
        try:
            content: object = unpickler.load()
        except _DAMAGE as error:
            why = f"cannot be unpickled ({str(error) or type(error).__name__})"
            raise UnreadablePickleError(why, unpickler.refused) from None
    if not isinstance(content, dict):
        raise UnreadablePickleError("does not hold a dict")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}
